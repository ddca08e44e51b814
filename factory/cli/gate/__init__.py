"""``factory gate``: collects facts and judges a change, in CI or locally before a push."""

import os
from dataclasses import replace
from pathlib import Path

import click

from factory.checks import coverage, junit, leaks, performance, report
from factory.cli import environment, output
from factory.cli.current import JUDGE, enter
from factory.cli.gate import challenge, history
from factory.config import ENVIRONMENTS, environments
from factory.errors import GateFailed, InvalidInput, Refused
from factory.gates import own_pipeline
from factory.gates.run import Decision, decide
from factory.model.facts import Change, Facts, TestRun
from factory.model.tool_run import ToolRun
from factory.operations.collect import checkout, claims, local
from factory.operations.collect import facts as collecting
from factory.operations.repository import app_checks, app_tests
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.reports import annotations, cobertura, findings, sarif
from factory.system import files
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
@JUDGE
@click.option("--base", help="Compare with this commit (default: CI's diff base, origin/main or main).")
@click.option("--target", default="", help="The target branch's commit, to check whether the change is up to date.")
def check(judge: Path | None, base: str | None, target: str) -> None:
    """Write the facts that need no code of the change to run, and the contracts for its tests."""
    judge = enter(judge)
    rules = read_folder(judge)
    place = checkout.checkout(environment.snapshot(), base, target=target)
    found = checkout.collect(place, rules, judge)
    checkout.write(found, FACTS)
    checkout.freeze_contracts(judge, FROZEN)
    checkout.freeze_benchmark(rules, place.base, FROZEN)
    checkout.freeze_before(place, found, FROZEN)
    given = environment.snapshot()
    if ENVIRONMENTS in given:
        checkout.install(place, found, rules, judge, environments(given))
    click.echo(f"{_compared(found)}; spec {(found.spec.id if found.spec else '') or '-'}")


@command.command()
@JUDGE
@click.option("--judge-sha", default="", help="The commit that the judge was built from.")
@click.option("--base", help="With --where local: compare with this commit (default: origin/main or main).")
@click.option(
    "--where", type=click.Choice(["local", "pipeline"]), default="local", show_default=True, help="Which gates run."
)
@click.option(
    "--history",
    "past",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Judge the last N commits of main's first-parent line instead.",
)
@output.as_json
def run(judge: Path | None, judge_sha: str, base: str | None, where: str, past: int | None, as_json: bool) -> None:
    """Judge a change by the policies; fail if a required gate did not pass.

    In the pipeline it reads the facts that the job wrote to .factory/, and downloads the results of the jobs that ran
    the change's code. Locally it first collects the facts and runs the local checks. With --history it says what the
    gates would have done to past merges; it blocks nothing, and runs no code of them.
    """
    judge = enter(judge)
    if past:
        history.report(judge, past, as_json=as_json)
        return
    rules = read_folder(judge)
    if where == "pipeline":
        decision = decide(_left(rules), rules, where="pipeline", judge_sha=judge_sha)
    else:
        place = checkout.checkout(environment.snapshot(), base)
        facts = checkout.collect(place, rules, judge)
        output.say(f"{_compared(facts)}; running the local checks")
        decision = local.judged(
            place,
            facts,
            rules,
            scratch=(OUT / "local").absolute(),
            environments=environments(environment.snapshot()),
            judge_sha=judge_sha,
        )
    _report(decision)
    text = "\n".join([*findings.lines(decision.verdicts), f"verdict {decision.report.digest}"])
    output.one(decision.report, json_wanted=as_json, text=text)
    if not decision.passed:
        names = [verdict.gate for verdict in decision.verdicts if verdict.result != "passed"]
        raise GateFailed(f"not passed: {', '.join(names)}")


command.add_command(challenge.command, "challenge")


def _compared(found: Facts) -> str:
    """Return between which commits how many files changed."""
    change = found.change or Change("", "", ())
    seen = change.problem or f"{len(change.files)} files changed"
    return f"{seen} between {change.base[:12]} and {change.head[:12]} (HEAD)"


def _left(rules: Policies) -> Facts:
    """Return the facts that the job wrote to .factory/, with the claims of the jobs that ran the change's code."""
    found = checkout.read(FACTS)
    given = environment.snapshot()
    if found.change is not None and found.change.head != checkout.head(given):
        raise InvalidInput(f"{FACTS} is about {found.change.head[:12]}, not about the commit that is checked out")
    problem = claims.fetch(given, CLAIMS) if "CI" in given else ""
    suites = tuple((name, TestRun(problem=problem) if problem else _suite(CLAIMS / name)) for name in collecting.SUITES)
    before = CLAIMS / "unit" / app_tests.EARLIER.name
    return replace(
        found,
        tests=suites,
        own_base=_suite(before),
        checks_base=app_checks.read_file(before, found.checks_after),
        checks_head=app_checks.read_file(CLAIMS / "unit", found.checks_after),
        coverage=coverage.read_file(CLAIMS / "unit" / "coverage.json"),
        scanned=_scanned(),
        timings=performance.read(CLAIMS / "performance"),
        # A project that deploys nothing has no gate for plans, and its pipeline no job that makes one.
        plans=plan.read_all(OUT / "plan") if "plan" in rules.gates.gates or (OUT / "plan").exists() else (),
        own_pipeline=claims.child_pipeline(given) if "CI" in given and own_pipeline.GATE in rules.gates.gates else None,
    )


def _suite(folder: Path) -> TestRun:
    return junit.read_file(folder / "junit.xml", _exit_code(folder / "exit"))


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
