"""``factory gate``: collects facts and judges a change, in CI or locally before a push."""

import os
from dataclasses import replace
from pathlib import Path

import click

from factory.checks import coverage, junit, leaks, performance, report
from factory.cli import environment, output
from factory.cli.gate import challenge
from factory.errors import GateFailed, InvalidInput, Refused
from factory.gates.run import Decision, decide
from factory.model.facts import Facts, ToolRun
from factory.operations.collect import checkout
from factory.operations.collect import facts as collecting
from factory.policies.folder import read_folder
from factory.reports import annotations, cobertura, findings, sarif
from factory.system import files
from factory.system.toolchain import readable
from factory.terraform import plan

OUT = Path(".factory")
FACTS = OUT / "facts" / "facts.json"
CLAIMS = OUT / "claims"
FROZEN = OUT / "judge"
VERDICT = OUT / "verdict"


@click.group()
def command() -> None:
    """Collect facts, judge a change, and measure what the gates catch."""


@command.command()
@click.option(
    "--judge",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The folder of policies/ and specs/ (default: here).",
)
@click.option("--base", help="Compare with this commit (default: CI's diff base, else origin/main).")
@click.option("--target", default="", help="The target branch's commit, to check whether the change is up to date.")
def check(judge: Path, base: str | None, target: str) -> None:
    """Write the facts that need no code of the change to run, and the contracts for its tests."""
    rules = read_folder(judge)
    place = checkout.checkout(environment.snapshot(), base, target=target)
    found = checkout.collect(place, rules, judge)
    checkout.write(found, FACTS)
    checkout.freeze_contracts(judge, FROZEN)
    checkout.freeze_benchmark(rules, place.base, FROZEN)
    change = found.change
    if change is not None:
        named = (found.spec.id if found.spec else "") or "-"
        seen = change.problem or f"{len(change.files)} files changed"
        click.echo(f"{seen}; between {change.base[:12]} and {change.head[:12]}; spec {named}")


@command.command()
@click.option(
    "--judge", type=click.Path(path_type=Path), default=Path(), help="The folder of policies/ (default: here)."
)
@click.option("--judge-sha", default="", help="The commit that the judge was built from.")
@click.option("--base", help="With --where local: compare with this commit (default: origin/main).")
@click.option(
    "--where", type=click.Choice(["local", "pipeline"]), default="local", show_default=True, help="Which gates run."
)
@output.as_json
def run(judge: Path, judge_sha: str, base: str | None, where: str, as_json: bool) -> None:
    """Judge a change by the policies; fail if a required gate did not pass.

    In the pipeline it reads the facts that earlier jobs wrote to .factory/. Locally it first collects the facts and
    runs the local checks.
    """
    rules = read_folder(judge)
    if where == "pipeline":
        decision = decide(_left(), rules, where="pipeline", judge_sha=judge_sha)
    else:
        place = checkout.checkout(environment.snapshot(), base)
        facts = checkout.collect(place, rules, judge)
        output.say(f"{len(facts.change.files) if facts.change else 0} files changed; running the local checks")
        scratch = (OUT / "local").absolute()
        tests, covered, leaked = collecting.claims(place, rules, scratch=scratch, readable=readable())
        facts = replace(facts, tests=tests, coverage=covered, scanned=leaked)
        decision = decide(facts, rules, where="local", judge_sha=judge_sha)
    _report(decision)
    text = "\n".join([*findings.lines(decision.verdicts), f"verdict {decision.report.digest}"])
    output.one(decision.report, json_wanted=as_json, text=text)
    if not decision.passed:
        names = [verdict.gate for verdict in decision.verdicts if verdict.result != "passed"]
        raise GateFailed(f"not passed: {', '.join(names)}")


command.add_command(challenge.command, "challenge")


def _left() -> Facts:
    """Return the facts that earlier jobs of the pipeline wrote to .factory/."""
    found = checkout.read(FACTS)
    if found.change is not None and found.change.head != checkout.head(environment.snapshot()):
        raise InvalidInput(f"{FACTS} is about {found.change.head[:12]}, not about the commit that is checked out")
    suites = tuple(
        (name, junit.read_file(CLAIMS / name / "junit.xml", _exit_code(CLAIMS / name / "exit")))
        for name in collecting.SUITES
    )
    return replace(
        found,
        tests=suites,
        coverage=coverage.read_file(CLAIMS / "unit" / "coverage.json"),
        scanned=_scanned(),
        timings=performance.read(CLAIMS / "performance"),
        plans=plan.read_all(OUT / "plan"),
    )


def _scanned() -> ToolRun:
    runs = [leaks.scan(folder) for folder in (CLAIMS, OUT / "plan") if folder.exists()]
    problem = next((run.problem for run in runs if run.problem), "")
    return ToolRun(tuple(item for run in runs for item in run.problems), problem)


def _exit_code(path: Path) -> bytes | None:
    try:
        return report.content(path)
    except Refused:
        return None


def _report(decision: Decision) -> None:
    """Write the verdict, and the reports that GitLab shows."""
    covered = coverage.read_file(CLAIMS / "unit" / "coverage.json")
    root = os.fspath(Path.cwd())
    files.write_atomic(VERDICT / "verdict.json", decision.encode())
    for name, text in {
        "code-quality.json": findings.code_quality(decision.verdicts),
        "findings.sarif": sarif.render(decision.verdicts),
        "cobertura.xml": cobertura.render(covered, root=root),
        "annotations.json": annotations.render(_links()),
    }.items():
        files.write_atomic(VERDICT / name, text.encode())


def _links() -> dict[str, str]:
    given = environment.snapshot()
    job = given.get("CI_JOB_URL", "")
    return {"Verdict": f"{job}/artifacts/file/.factory/verdict/verdict.json"} if job else {}
