"""``factory prove URL``: the main job on a GitLab and a Cloudflare, in a throwaway project that is deleted again."""

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.cli.environment import snapshot
from factory.cli.prompt import agreed_within, typed
from factory.errors import AwaitingHuman, InvalidInput, LoopbackDiffers, ProofFailed, Refused
from factory.gitlab import accounts
from factory.gitlab.connect import connect
from factory.instance.workspace import BOT, OPERATOR
from factory.model.secret import Secret
from factory.operations.collect import origin
from factory.operations.prove import command_line, deadline, deletion, report, request, run, throwaway_clone
from factory.operations.prove import record as records
from factory.operations.prove.command_line import CommandLine
from factory.operations.prove.deadline import Deadline
from factory.operations.prove.record import Record
from factory.operations.prove.report import Report
from factory.operations.prove.request import Found, Request, Tokens
from factory.operations.prove.run import Looked
from factory.operations.prove.steps import Proof
from factory.reports.markdown import count
from factory.secrets import tokens
from factory.system import clock, files, process

_CLOUDFLARE = "CLOUDFLARE_API_TOKEN"
_SIMULATED = "simulated, by the command: nobody approved"


@click.command()
@click.argument("url", required=False)
@click.option("--group", default="", metavar="PATH", help="Make a throwaway group below this one (default: none).")
@click.option("--zone", default="", metavar="NAME", help="Deploy in this Cloudflare zone, made for tests.")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="Let this agent do a tiny task on its model.")
@click.option("--variable", "given", multiple=True, metavar="NAME=VALUE", help="Set a CI variable in the project.")
@click.option(
    "--sockets",
    type=click.Path(path_type=Path, resolve_path=True),
    help="Run the releases here, with their sockets in this folder, which the connector of the zone's tunnel reads.",
)
@click.option("--out", default=Path(), type=click.Path(path_type=Path, file_okay=False), help="Where the report goes.")
@click.option("--yes", is_flag=True, help="Do not ask before anything is made and deleted.")
@click.option("--clean-up", is_flag=True, help="Only delete what an interrupted run left.")
@output.as_json
def command(
    *,
    url: str | None,
    group: str,
    zone: str,
    agents: tuple[str, ...],
    given: tuple[str, ...],
    sockets: Path | None,
    out: Path,
    yes: bool,
    clean_up: bool,
    as_json: bool,
) -> None:
    """Do the main job on the GitLab at URL within 15 minutes, in a throwaway project, and delete everything.

    Writes prove-DATE.md and .json: each step, what differs from the loopback GitLab, what was not run, what is left.
    The day's second report is prove-DATE-2. Exits with 17 if a step failed or something is left, with 18 if the GitLab
    differs from the loopback one.

    The tokens are FACTORY_TOKEN_OPERATOR, FACTORY_TOKEN_FACTORY_BOT (a second account), FACTORY_TOKEN_JUDGE (scope
    `read_api`) and, with --zone, CLOUDFLARE_API_TOKEN, or are entered at a hidden prompt. You approve the merge request
    and the deployment on the terminal. Against the loopback GitLab, --yes approves both too, and the report says so.
    """
    process.exit_when_terminated()
    with files.locked(records.lock(snapshot()), wait=False):
        if clean_up:
            _clean_up(as_json=as_json)
            return
        if not url:
            raise InvalidInput("name the GitLab, like https://gitlab.com")
        asked = Request(accounts.address(url), group.strip("/"), zone, agents, request.variables(given), sockets)
        _prove(asked, out, yes=yes, as_json=as_json)


def _prove(asked: Request, out: Path, *, yes: bool, as_json: bool) -> None:
    began, until = clock.monotonic(), deadline.begin()
    variables, source = snapshot(), current().settings.clone
    throwaway_clone.require_source(source)
    records.require_none(variables)
    given = Tokens(
        _token(tokens.variable(OPERATOR), "Your token on GitLab"),
        _token(tokens.variable(BOT), "The token of the second account"),
        _token(origin.VARIABLE, "A token that reads merge requests, with the scope read_api"),
        _token(_CLOUDFLARE, "Cloudflare's token") if asked.zone else Secret(""),
    )
    person = command_line.person(variables)
    looking = CommandLine(source, person, until)
    found = request.look(asked, given, looking, env=person, source=source)
    place = records.folder(variables) / found.record.suffix
    looked = Looked(clock.monotonic() - began, began)
    steps_until = until.earlier(deadline.CLEAN_UP)
    decisions, decide = _decider(found, steps_until, yes=yes)
    _agree(found, asked, yes=yes)
    proof = Proof(
        request=asked,
        tokens=given,
        found=found,
        source=source,
        place=place,
        env=command_line.environment(person, place),
        person=person,
        deadline=steps_until,
        decide=decide,
    )
    ended = run.run(proof, looked=looked, until=until, decisions=decisions, say=output.say)
    _write(ended, proof.transcript, out, as_json=as_json)


def _token(name: str, what: str) -> Secret:
    text = snapshot().get(name)
    return Secret(text) if text else typed(f"{what} ({name})", only_terminal=True)


def _agree(found: Found, asked: Request, *, yes: bool) -> None:
    """Show what will be made, changed and deleted, and ask; raises ``Refused`` without a yes."""
    made = found.record
    lines = [
        f"on {made.url}, as {found.operator.username}, for at most {deadline.SECONDS / 60:.0f} minutes:",
        *([f"  make the group {made.group}, and delete it"] if made.group else []),
        *(f"  make the project {path}, and delete it" for path in made.projects),
        f"  give {found.bot.username} the role maintainer in {made.project}",
    ]
    if made.zone:
        names = ", ".join(made.hostnames.values())
        lines += [
            f"in the Cloudflare zone {made.zone}:",
            f"  make, and destroy, a record and a tunnel for each of {names}",
            f"  make, and destroy, rules for these hostnames; keep the {len(made.before)} objects that are there",
            f"  keep Cloudflare's token as a CI variable of {made.project}, which merge requests can read",
        ]
    lines += [f"let {name} do a tiny task on its model, with your login" for name in asked.agents]
    click.echo(output.visible("\n".join(lines)), err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("standard input is not a terminal, so nobody can agree", hint="Add --yes.")
    if not click.confirm("Do this?", err=True):
        raise Refused("you did not agree: nothing was made")


def _decider(found: Found, until: Deadline, *, yes: bool) -> tuple[str, Callable[[str, str], None]]:
    """Return who approves, and the function that asks until a time; raises ``Refused`` if nobody can be asked.

    On a GitLab that is not a simulator, nothing approves in a person's name (docs/architecture.md).
    """
    if yes and found.server.loopback:
        return _SIMULATED, lambda question, _: output.say(f"{question} {_SIMULATED}")
    if not sys.stdin.isatty():
        raise Refused(
            "the approvals are yours, and standard input is not a terminal",
            hint="Run it on a terminal. --yes approves only against the loopback GitLab.",
        )

    def ask(question: str, shown: str) -> None:
        click.echo(output.visible(shown), err=True)
        if not agreed_within(question, until.left()):
            raise AwaitingHuman("you did not approve")

    return "by the operator, on the terminal", ask


def _write(ended: Report, transcript: bytes, out: Path, *, as_json: bool) -> None:
    """Write the report and the transcript, print the report, and raise the error of a run that did not pass."""
    name = free_name(out, f"prove-{ended.date}")
    text = report.markdown_of(ended)
    out.mkdir(parents=True, exist_ok=True)
    files.write_atomic(out / f"{name}.md", text.encode())
    files.write_atomic(out / f"{name}.json", (json.dumps(asdict(ended), indent=1) + "\n").encode())
    if transcript:
        files.write_atomic(out / f"{name}-transcript.json", transcript)
    output.one(ended, json_wanted=as_json, text=f"{text}\nthe report is {out / name}.md")
    if not ended.passed:
        raise ProofFailed("the run did not pass" + (f": left: {'; '.join(ended.left)}" if ended.left else ""))
    if ended.differences:
        raise LoopbackDiffers(f"{count(len(ended.differences), 'difference')} from the loopback GitLab")


def free_name(out: Path, name: str) -> str:
    """Return the name, or with a number after it the first of which no report is there."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(each for each in names if not any((out / f"{each}.{kind}").exists() for kind in ("md", "json")))


def _clean_up(*, as_json: bool) -> None:
    """Delete what interrupted runs left; raises ``ProofFailed`` if something cannot be deleted."""
    variables = snapshot()
    runs = records.left(variables)
    deleted: list[str] = []
    left: list[str] = []
    for place, made in runs.items():
        token = _token(tokens.variable(OPERATOR), f"Your token on {made.url}")
        cloudflare = _token(_CLOUDFLARE, f"Cloudflare's token for {made.zone}") if made.zone else Secret("")
        done = _deleted(place, made, token, cloudflare)
        deleted += done.deleted
        left += done.left
    value = {"deleted": deleted, "left": left}
    lines = [*(f"deleted {line}" for line in deleted), *(f"left: {line}" for line in left)]
    output.one(value, json_wanted=as_json, text="\n".join(lines) or "nothing was left")
    if left:
        raise ProofFailed("not everything could be deleted", hint="Correct the reason above, and run it again.")


def _deleted(place: Path, made: Record, token: Secret, cloudflare: Secret) -> deletion.Deleted:
    account = accounts.look(connect(made.url, made.project, account=OPERATOR, token=token.reveal()))
    return deletion.delete(
        place,
        made,
        username=account.username,
        token=token,
        cloudflare=cloudflare,
        env=command_line.environment(command_line.person(snapshot()), place),
        deadline=deadline.begin(),
    )
