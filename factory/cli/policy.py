"""``factory policy``: checks the policies, explains their decisions, and runs their example cases."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import click

from factory.cli import output
from factory.cli.current import JUDGE, current, number, repository
from factory.errors import GateFailed, InvalidInput, NotFound, Refused
from factory.gitlab import merge_requests
from factory.model import gitlab
from factory.model.facts import Change, ChangedFile, Origin, Plan
from factory.model.verdict import RequiredApprovals
from factory.operations.collect import origin
from factory.policies import cases, evaluate, folder, plans, rule_source
from factory.policies import read as policy_files
from factory.policies.evaluate import Ruling
from factory.policies.model import Policies
from factory.reports.markdown import count
from factory.system import canonical, clock, files
from factory.terraform import plan as planning
from factory.terraform.manifest import normalise

_SUBMODULE = re.compile(r"^[-+]Subproject commit [0-9a-f]{40}", re.MULTILINE)


@click.group()
def command() -> None:
    """Check the policies, explain their decisions, and run their example cases."""


@command.command()
@JUDGE
@output.as_json
def check(judge: Path | None, as_json: bool) -> None:
    """Check all policies and their cases; show each file's digest, or all errors."""
    root = judge or repository()
    found = folder.contents(root)
    problems = policy_files.check(found)
    if problems:
        output.one({"problems": problems}, json_wanted=as_json, text="\n".join(problems))
        raise InvalidInput(f"{count(len(problems), 'error')} in {root / 'policies'}")
    policies, examples = policy_files.read(found), cases.read(found)
    accepted = [item.model_dump() for item in policies.exceptions.exceptions]
    each = {path: canonical.digest(data) for path, data in sorted(policy_files.effective(found).items())}
    lines = [f"{value}  {path}{'' if path in found else ' (default)'}" for path, value in each.items()]
    lines += [f"{policies.digest}  all", f"{len(examples)} cases, {len(accepted)} exceptions"]
    lines += ["  {rule} for {subject} until {expires}, {owner}: {reason}".format_map(item) for item in accepted]
    shown = {"files": each, "digest": policies.digest, "cases": len(examples), "exceptions": accepted}
    output.one(shown, json_wanted=as_json, text="\n".join(lines))


@command.command()
@click.argument("name", required=False)
@JUDGE
@output.as_json
def show(name: str | None, judge: Path | None, as_json: bool) -> None:
    """Print a policy, such as `gates`, as it decides here; without NAME, list all and say which are defaults.

    To change a default, copy it with `factory customize policies/NAME.yml`, and edit that file.
    """
    given = folder.contents(judge or repository())
    found = {PurePosixPath(path).stem: path for path in policy_files.effective(given)}
    if name is None:
        rows = [{"name": one, "file": path, "default": path not in given} for one, path in sorted(found.items())]
        output.rows(rows, ("name", "file", "default"), json_wanted=as_json, empty="no policies")
        return
    if name not in found:
        raise NotFound(f"there is no policy {name!r}", hint=f"Use one of {', '.join(sorted(found))}.")
    path = found[name]
    text = policy_files.effective(given)[path].decode()
    value = {"name": name, "file": path, "default": path not in given, "text": text}
    output.one(value, json_wanted=as_json, text=text.rstrip("\n"))


@command.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--mr", "merge_request", metavar="IID", help="Explain the decisions about a merge request.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="Explain the decisions about a plan (output of `terraform show -json`).",
)
@click.option(
    "--as", "account", metavar="ACCOUNT", help="The author of the change (default: an agent; for --mr, its author)."
)
@click.option("--as-agent", is_flag=True, help="Judge a merge request as if an agent had created it.")
@JUDGE
@output.as_json
def explain(
    paths: tuple[str, ...],
    merge_request: str | None,
    plan_file: Path | None,
    account: str | None,
    as_agent: bool,
    judge: Path | None,
    as_json: bool,
) -> None:
    """Show which rules decide about paths, a merge request or a plan, their file and line, and their facts."""
    if [bool(paths), bool(merge_request), bool(plan_file)].count(True) != 1:
        raise click.UsageError("give either paths, --mr or --plan")
    found = folder.contents(judge or repository())
    policies = policy_files.read(found)
    who = policies.scope.agents[0] if as_agent else account
    if merge_request:
        explained = _merge_request(policies, number(merge_request, "!"), who)
    elif plan_file:
        explained = _plan(policies, plan_file)
    else:
        explained = _paths(policies, [_in_repository(path) for path in paths], who or policies.scope.agents[0])
    output.one(explained.to_json(found), json_wanted=as_json, text=explained.text(found))
    if not evaluate.allows(explained.rulings):
        rules = sorted({ruling.rule for ruling in explained.rulings if not ruling.allowed})
        raise Refused(f"denied by {', '.join(rules) or 'no rule at all'}")


@command.command()
@JUDGE
@output.as_json
def test(judge: Path | None, as_json: bool) -> None:
    """Run the cases in policies/cases/; fail if a decision differs from the expected one, or there are no cases."""
    root = judge or repository()
    found = folder.contents(root)
    results = cases.run(policy_files.read(found), cases.read(found))
    failed = [result for result in results if not result.passed]
    lines = [f"{item.where}: {item.name}: expected {item.expected}, got {item.got}" for item in failed]
    lines.append(f"{len(results) - len(failed)} of {len(results)} cases are decided as expected")
    output.one([item.to_json() for item in results], json_wanted=as_json, text="\n".join(lines))
    if not cases.passed(results):
        problem = (
            f"{count(len(failed), 'case')} failed" if results else f"there are no cases in {root / policy_files.CASES}"
        )
        raise GateFailed(problem, hint="Fix the policy or the case, then run `factory policy test` again.")


@dataclass(frozen=True)
class _Explanation:
    """The rulings on a change, the reason that agents' rules apply, and the approvals that a merge needs."""

    rulings: tuple[Ruling, ...]
    needed: RequiredApprovals
    bound: str | None

    def to_json(self, found: Mapping[str, bytes]) -> dict[str, object]:
        return {
            "allowed": evaluate.allows(self.rulings),
            "bound": self.bound,
            "policy": self.needed.policy,
            "rulings": [{**ruling.to_json(), "where": rule_source.where(found, ruling)} for ruling in self.rulings],
            "needed": asdict(self.needed),
        }

    def text(self, found: Mapping[str, bytes]) -> str:
        lines = [f"agents' rules apply: {self.bound}"] if self.bound else []
        for ruling in self.rulings:
            word = "allowed" if ruling.allowed else "denied "
            place = rule_source.where(found, ruling) or "built in"
            lines += [f"{word}  {ruling.rule}  {place}  {ruling.reason}", f"         {_shown(ruling.facts)}"]
        lines.append(f"a merge needs {self.needed.approvals} approval(s)")
        lines += [
            f"  {risk.name} ({risk.required}): {risk.decide}  because of {', '.join(risk.because)}"
            for risk in self.needed.risks
        ]
        return "\n".join([*lines, f"policy {self.needed.policy}"])


def _shown(facts: Mapping[str, object]) -> str:
    return " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in facts.items())


def _in_repository(path: str) -> str:
    """Return the repository's path of a path that is relative to the current folder."""
    return os.path.relpath(path, repository())


def _paths(policies: Policies, paths: Sequence[str], who: str) -> _Explanation:
    change = Change("", "", tuple(ChangedFile(path, "M", 1, 0) for path in paths), origin=Origin(who))
    why = evaluate.bound(policies, change)
    each = tuple(evaluate.path(policies, path) for path in paths)
    return _Explanation(each if why else evaluate.scope(policies, change), evaluate.needed(policies, change, ()), why)


def _merge_request(policies: Policies, iid: int, who: str | None) -> _Explanation:
    connection = current().connection()
    found = merge_requests.get(connection, iid)
    changed = tuple(item for diff in merge_requests.changes(connection, iid) for item in _changed(diff))
    whose = Origin(who, branch=found.source_branch) if who else origin.of_merge_request(connection, iid)
    change = Change("", found.sha, changed, origin=whose)
    why = evaluate.bound(policies, change)
    return _Explanation(evaluate.scope(policies, change), evaluate.needed(policies, change, ()), why)


def _changed(diff: gitlab.Change) -> list[ChangedFile]:
    """Return a diff's files; a renamed file becomes one deleted and one added file."""
    lines = diff.diff.splitlines()
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    status = "A" if diff.new_file else "D" if diff.deleted_file else "M"
    if _SUBMODULE.search(diff.diff):
        status = "S"
    renamed = [] if diff.old_path == diff.new_path else [ChangedFile(diff.old_path, "D", 0, 0)]
    return [*renamed, ChangedFile(diff.new_path, status, added, removed)]


def _plan(policies: Policies, path: Path) -> _Explanation:
    planned = _read_plan(files.read_bytes(path))
    rulings = plans.judge(policies, planned, today=clock.timestamp()[:10])
    return _Explanation(rulings, evaluate.needed(policies, Change("", "", ()), (planned,)), None)


def _read_plan(data: bytes) -> Plan:
    """Return the plan from the JSON of ``terraform show``; a parse error becomes its ``problem``."""
    try:
        value = json.loads(data)
        normalised = normalise(value)
        if not normalised["format_version"]:
            return Plan("", "", problem="the file is not a plan: it has no format_version")
        return planning.facts("", canonical.digest_of(normalised), normalised)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Plan("", "", problem=f"the file is not a plan: {error}")
