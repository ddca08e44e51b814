"""``factory gate``: collects facts and judges a change; CI calls it, and so may a person before pushing."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from factory.checks import change as changes
from factory.checks import junit
from factory.cli import environment, output
from factory.errors import FactoryError, GateFailed, InvalidInput
from factory.gates.run import decide
from factory.model.facts import Change, ChangedFile, Facts, SpecFacts
from factory.policies import read as policy_files
from factory.reports import findings
from factory.specs import read as specs
from factory.system import files, process
from factory.terraform import plan

OUT = Path(".factory")
# A checkout that is judged brings no programs of its own.
_NO_TOOLS = Path("/nonexistent")


@click.group()
def command() -> None:
    """Collect facts and judge a change."""


@command.command()
@click.option("--judge", type=click.Path(path_type=Path), default=Path(), help="Where policies and specs are read.")
@click.option("--base", help="Compare with this commit (default: CI's diff base, else origin/main).")
def check(judge: Path, base: str | None) -> None:
    """Write the facts that need nothing of the change to be run: what changed, and which spec it names."""
    env = _env()
    start = base or env["given"].get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or "origin/main"
    found = replace(_change(start, env["tools"]), author=env["given"].get("GITLAB_USER_LOGIN", ""))
    spec = _spec(judge, found)
    files.write_atomic(OUT / "facts" / "change.json", json.dumps(asdict(found)).encode())
    files.write_atomic(OUT / "facts" / "spec.json", json.dumps(asdict(spec)).encode())
    click.echo(
        f"{len(found.files)} files changed between {found.base[:12]} and {found.head[:12]}; spec {spec.id or '-'}"
    )


@command.command()
@click.option("--judge", type=click.Path(path_type=Path), default=Path(), help="Where policies are read.")
@click.option("--judge-sha", default="", help="The commit that the judge was built from.")
@click.option(
    "--where", type=click.Choice(["local", "pipeline"]), default="local", show_default=True, help="Which gates run."
)
@output.as_json
def run(judge: Path, judge_sha: str, where: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Judge the facts in .factory/ by the policies; fail where a required gate did not pass."""
    policies = policy_files.read(_policy_bytes(judge))
    decision = decide(_facts(), policies, where="pipeline" if where == "pipeline" else "local", judge_sha=judge_sha)
    files.write_atomic(OUT / "verdict" / "verdict.json", decision.encode())
    quality = findings.code_quality(decision.verdicts)
    files.write_atomic(OUT / "verdict" / "code-quality.json", quality.encode())
    output.one(decision.to_json(), json_wanted=as_json, text="\n".join(findings.lines(decision.verdicts)))
    if not decision.passed:
        names = [verdict.gate for verdict in decision.verdicts if verdict.result != "passed"]
        raise GateFailed(f"not passed: {', '.join(names)}")


def _env() -> dict[str, Any]:
    given = environment.snapshot()
    return {"given": given, "tools": environment.tool_env(given, environment.toolchain(given, _NO_TOOLS))}


def _change(base: str, env: dict[str, str]) -> Change:
    def resolve(name: str) -> str:
        argv = ["git", "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"]
        return process.run(argv, env=env).text.strip()

    try:
        merge_base = process.run(["git", "merge-base", resolve(base), "HEAD"], env=env).text.strip()
        return changes.collect(Path.cwd(), merge_base, resolve("HEAD"), env=env)
    except FactoryError as error:
        raise InvalidInput(f"the change cannot be read: {error}") from error


def _spec(judge: Path, found: Change) -> SpecFacts:
    named = {name for name in (specs.cited(message) for message in found.messages) if name}
    if len(named) != 1:
        return SpecFacts(
            problem="the commits name no spec" if not named else f"several specs: {', '.join(sorted(named))}"
        )
    name = named.pop()
    path = specs.path_of(name)
    try:
        spec = specs.read(files.read_bytes(judge / path), source=path)
    except InvalidInput as error:
        return SpecFacts(problem=str(error))
    return SpecFacts(spec.id, spec.status, spec.digest)


def _policy_bytes(judge: Path) -> dict[str, bytes]:
    return {f"policies/{path.name}": path.read_bytes() for path in sorted((judge / "policies").glob("*.yml"))}


def _facts() -> Facts:
    claims = OUT / "claims"
    suites = [
        (name, junit.read(path.read_bytes() if path.exists() else None))
        for name in ("unit", "contract")
        for path in [claims / f"{name}.xml"]
    ]
    planned = plan.read_facts(OUT / "plan")
    return Facts(change=_read_change(), spec=_read_spec(), tests=tuple(suites), plan=planned)


def _read_change() -> Change | None:
    path = OUT / "facts" / "change.json"
    if not path.exists():
        return None
    value = json.loads(files.read_text(path))
    found = tuple(
        ChangedFile(
            item["path"], item["status"], item["added"], item["removed"], tuple((n, t) for n, t in item["lines"])
        )
        for item in value["files"]
    )
    return Change(value["base"], value["head"], found, tuple(value["messages"]), value["author"])


def _read_spec() -> SpecFacts | None:
    path = OUT / "facts" / "spec.json"
    return SpecFacts(**json.loads(files.read_text(path))) if path.exists() else None
