"""``factory propose``: judges a person's branch, pushes it and opens its merge request."""

import os
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import current
from factory.config import environments
from factory.errors import GateFailed
from factory.instance import person_remote
from factory.operations import own_session, proposal
from factory.operations.collect import checkout, local
from factory.policies.folder import read_folder
from factory.reports import findings

_SHOWN = 10
_SCRATCH = Path(".factory/local")


@click.command()
@click.option("--title", default="", help="The merge request's title (default: the first commit's subject).")
@click.option("--draft", is_flag=True, help="Open it as a draft, also if a gate does not pass.")
@output.as_json
def command(title: str, draft: bool, as_json: bool) -> None:
    """Judge your branch with the gates that need no server, push it, and open its merge request as you.

    If a required gate does not pass, nothing is pushed. It judges your working tree and pushes only commits, so commit
    or stash everything first; in a worktree of `factory session start`, it commits everything itself.
    """
    workspace = current()
    clone, remote = person_remote.clone_of(workspace), person_remote.remote(workspace)
    os.chdir(clone.path)
    session = own_session.read(clone)
    if session is not None and (paths := clone.commit_all(session.message())):
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        output.say(f"committed as {session.title!r}: {', '.join(paths[:_SHOWN])}{more}")
    branch, ahead = clone.branch(), clone.ahead(remote)
    if left := clone.uncommitted():
        output.say(f"uncommitted changes in {left} file{'' if left == 1 else 's'} are not pushed")
    rules = read_folder(clone.path)
    place = checkout.checkout(environment.snapshot(), f"refs/remotes/{remote}/main")
    decision = local.judged(
        place,
        checkout.collect(place, rules, clone.path),
        rules,
        scratch=_SCRATCH.absolute(),
        environments=environments(workspace.environment),
    )
    failed = [item.gate for item in decision.verdicts if item.result != "passed"]
    needed = [gate for gate in failed if gate in decision.required]
    for line in findings.lines([item for item in decision.verdicts if item.gate in needed]):
        output.say(line)
    if optional := [gate for gate in failed if gate not in needed]:
        output.say(f"did not pass, and is not required: {', '.join(optional)}")
    observed = rules.gates.mode == "observe"
    if needed and observed:
        output.say(f"gates are observed; enforced, these would block it: {', '.join(needed)}")
    if not decision.passed and not (draft or observed):
        raise GateFailed(
            f"these required gates did not pass: {', '.join(needed)}; nothing was pushed",
            hint="Fix the findings and commit, or open a draft with `factory propose --draft`.",
        )
    opened = proposal.open_own(
        clone, workspace.connection(), remote=remote, branch=branch, ahead=ahead, title=title, draft=draft
    )
    gates = f"local gates {len(decision.verdicts) - len(failed)} of {len(decision.verdicts)}"
    value = {"merge_request": opened.iid, "branch": branch, "head": opened.sha, "gates": decision.report.digest}
    lines = [
        f"{proposal.size(ahead)} · {gates} · !{opened.iid} {opened.title}",
        f"  next: factory work --once, which writes the review note once the pipeline of !{opened.iid} has passed",
    ]
    output.one(value, json_wanted=as_json, text="\n".join(lines))
