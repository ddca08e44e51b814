"""Runs the steps under one deadline, deletes what they made whatever happens, and returns the report."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from factory import __version__
from factory.errors import FactoryError, ProofFailed
from factory.operations.prove import deletion, throwaway_clone
from factory.operations.prove import record as records
from factory.operations.prove.deadline import CLEAN_UP, Deadline
from factory.operations.prove.report import Outcome, Report, StepResult, line_of, redacted
from factory.operations.prove.steps import STEPS, Proof, Step
from factory.system import clock

Say = Callable[[str], None]
_DELETE = "delete everything"


@dataclass(frozen=True)
class Looked:
    """The step before the run: its seconds, and when the run began, in seconds of the monotonic clock."""

    seconds: float
    began: float


def run(proof: Proof, *, looked: Looked, until: Deadline, decisions: str, say: Say) -> Report:
    """Do every step, delete everything, and return the report.

    ``proof.deadline`` is that of the steps, ``until`` that of the deletion. After an interruption the remaining steps
    are not run; a second one also ends the deletion, and the record remains for ``factory prove --clean-up``.
    """
    results = [StepResult("look at tokens and services", Outcome.PASSED, looked.seconds, proof.found.summary)]
    say(line_of(results[0]))
    records.write(proof.place, proof.found.record)
    try:
        _steps(proof, results, say)
    finally:
        proof.hosts.stop()
        began = clock.monotonic()
        gone = deletion.delete(
            proof.place,
            proof.found.record,
            username=proof.found.operator.username,
            token=proof.tokens.operator,
            cloudflare=proof.tokens.cloudflare,
            env=proof.env,
            # A person may have left a question open for longer than the run had left.
            deadline=until.with_at_least(CLEAN_UP),
        )
    end = clock.monotonic()
    zone = f"; {proof.request.zone} has what it had before" if proof.request.zone else ""
    told = "; ".join(gone.left) or f"nothing is left{zone}"
    results.append(StepResult(_DELETE, Outcome.FAILED if gone.left else Outcome.PASSED, end - began, told))
    say(line_of(results[-1]))
    report = Report(
        date=clock.timestamp()[:10],
        version=__version__,
        commit=throwaway_clone.head(proof.source, proof.env),
        server=replace(proof.found.server, tier=proof.tier),
        zone=proof.request.zone,
        decisions=decisions,
        seconds=end - looked.began,
        steps=results,
        differences=proof.differences,
        deleted=gone.deleted,
        left=gone.left,
    )
    return _without_persons(proof, report)


def _steps(proof: Proof, results: list[StepResult], say: Say) -> None:
    """Do every step, and add its result; after an interruption, or without time, the others are not run."""
    stopped, without = "", set[str]()
    for step in (*STEPS, *(_agent(name) for name in proof.request.agents)):
        missing = next((f"there is no {name!r}" for name in step.after if name in without), "")
        why_not = stopped or step.needs(proof) or missing
        if not why_not:
            say(f"{'…':>10}  {step.name}")
        try:
            results.append(_result(proof, step, why_not))
        except (KeyboardInterrupt, SystemExit):
            stopped = "you interrupted the run"
            results.append(StepResult(step.name, Outcome.FAILED, 0.0, stopped))
        failed = results[-1].outcome is Outcome.FAILED
        if missing or failed:
            without.add(step.name)
        # Only a step that failed can say so: a run that was not tried to its end has not passed.
        if failed and proof.deadline.over:
            stopped = stopped or "the time of the run is over"
        say(line_of(results[-1]))
    if not proof.request.agents:
        results.append(StepResult("agents", Outcome.NOT_RUN, 0.0, "no --agent was given"))


def _result(proof: Proof, step: Step, why_not: str) -> StepResult:
    if why_not:
        return StepResult(step.name, Outcome.NOT_RUN, 0.0, why_not)
    began, known = clock.monotonic(), len(proof.differences)
    try:
        proof.deadline.left()
        detail = step.run(proof)
    except FactoryError as error:
        return StepResult(step.name, Outcome.FAILED, clock.monotonic() - began, str(error))
    outcome = Outcome.DIFFERENT if len(proof.differences) > known else Outcome.PASSED
    return StepResult(step.name, outcome, clock.monotonic() - began, detail)


def _agent(name: str) -> Step:
    return Step(f"agent {name}", (), partial(_turn, name))


def _turn(name: str, proof: Proof) -> str:
    clone = proof.clone if proof.clone.exists() else proof.source
    command = replace(proof.command, clone=clone, env=proof.person)
    found = command.json("agent", "doctor", name, "--own-login")
    values = found if isinstance(found, dict) else {}
    if not values.get("wrote"):
        raise ProofFailed(f"the agent did not do its task: {values.get('reason')}: {values.get('detail')}")
    return f"{values.get('reason')}; {values.get('tokens')} tokens by {values.get('source')}; {values.get('cost')}"


def _without_persons(proof: Proof, report: Report) -> Report:
    """Return the report without tokens, and with user names that the person did not type replaced."""
    typed = {part for path in (proof.request.group,) for part in path.split("/")}
    tokens = (proof.tokens.operator, proof.tokens.bot, proof.tokens.judge, proof.tokens.cloudflare)
    names = {token.reveal(): "(token)" for token in tokens}
    people = {proof.found.operator.username: "(operator)", proof.found.bot.username: "(factory's account)"}
    names |= {name: shown for name, shown in people.items() if name not in typed}
    clean = partial(redacted, names=names)
    return replace(
        report,
        steps=[replace(step, detail=clean(step.detail)) for step in report.steps],
        differences=[clean(line) for line in report.differences],
        deleted=[clean(line) for line in report.deleted],
        left=[clean(line) for line in report.left],
    )
