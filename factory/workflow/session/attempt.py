"""One attempt: runs the agent in the worktree, judges and commits its changes, and records the attempt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from factory.agents.task import Ending, driver
from factory.errors import FactoryError
from factory.model.agent import Reason, Turn
from factory.model.attempt import AttemptResult
from factory.model.issue import FrozenIssue
from factory.model.plan_window import PlanWindow
from factory.model.session import Session
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.sandbox import launch, limits
from factory.system import canonical, clock, files
from factory.workflow.budget.budget import Amount
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.workflow.session import credentials, launch_plan, transcript
from factory.workflow.session.redaction import redact
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree

_LONGEST_BODY = 2000
_LONGEST_ERRORS = 1_000_000
# The sandbox level of an attempt that ended before its agent started.
_NOT_STARTED = "none"


@dataclass(frozen=True)
class AttemptRun:
    """The agent's turn, the sandbox level, the mechanism that enforced each limit, and the windows of the agent's plan.

    ``waited`` is how many seconds the agent waited for a login before it started. ``renewed`` tells that the provider
    refused the login, and that it is renewed now.
    """

    turn: Turn
    level: str
    limits: Mapping[str, str]
    windows: tuple[PlanWindow, ...] = ()
    waited: float = 0.0
    renewed: bool = False


def run(
    context: Context,
    session: Session,
    number: int,
    *,
    policies: Policies,
    chosen: AgentChoice,
    brief: str,
    amount: Amount,
    resume: str,
    tick: Callable[[], Ending | None],
) -> AttemptRun:
    """Run the agent behind the launch door; returns how the run ended.

    The attempt's folder keeps the brief, the transcript and standard error. ``resume`` is the agent's own session id,
    if the agent continues one. An agent on a plan starts once its login is free; ``tick`` may end the attempt before.
    """
    folder, agent = session.attempt(number), chosen.agent
    interactive = context.console.interactive and bool(agent.terminal)
    files.remove_tree(folder)
    files.write_atomic(folder / "brief.md", brief.encode())
    secrets: list[str] = []
    begun = clock.monotonic()
    with (
        transcript.recording(folder, secrets) as record,
        credentials.held(context, agent, record=record, tick=tick) as ending,
    ):
        waited = clock.monotonic() - begun
        if ending is not None:
            record({"event": "end", "reason": ending[0].value, "detail": ending[1]})
            return AttemptRun(Turn(*ending, source="provider"), _NOT_STARTED, {}, waited=waited)
        secrets += credentials.secrets(context.machine, agent)
        with (
            launch_plan.prepare(
                context, session, number, policies=policies, chosen=chosen, brief=brief, amount=amount, record=record,
                interactive=interactive,
            ) as given,
            (folder / "stderr.log").open("wb") as errors,
        ):  # fmt: skip
            launch_plan.require_program(chosen.name, given.launch.argv[0], given.launch.env["PATH"])
            prepared = launch.prepare(given.launch)
            record({"event": "attempt", "agent": chosen.name})
            context.say(f"attempt {number}: {chosen.name} works ({chosen.why}; sandbox level {prepared.level})")
            watched = limits.watched(given.launch.limits, prepared.limits)
            task = replace(given.task, resume=resume, watched=watched)
            drive = driver("terminal" if interactive else agent.protocol)
            try:
                turn = drive(prepared, task, record=record, errors=errors, tick=tick)
            finally:
                launch.put_back(prepared)
        turn, renewed = _renewed(context, agent, turn)
    _clean(folder / "stderr.log", secrets)
    told = replace(turn, message=redact(turn.message, secrets), detail=redact(turn.detail, secrets))
    windows = given.task.provider.windows
    return AttemptRun(told, prepared.level.value, prepared.limits, windows, waited, renewed)


def _renewed(context: Context, agent: Agent, turn: Turn) -> tuple[Turn, bool]:
    """Let the official program renew a login that the provider refused; the turn says what to do if it cannot."""
    if turn.reason is not Reason.AUTH_FAILED:
        return turn, False
    try:
        return turn, credentials.renew(context, agent)
    except FactoryError as error:
        return replace(turn, detail=f"{turn.detail}; {error}. {error.hint}"), False


def _clean(path: Path, secrets: Sequence[str]) -> None:
    """Keep the last part of the agent's standard error, without secrets."""
    said = files.tail(path, _LONGEST_ERRORS).decode(errors="replace")
    files.write_atomic(path, redact(said, secrets).encode())


def commit(context: Context, session: Session, number: int, frozen: FrozenIssue, turn: Turn) -> str | None:
    """Commit the agent's changes under its account; returns the commit, or ``None`` if nothing changed."""
    if not worktree.changed_paths(session.worktree):
        return None
    trailers = {
        "Issue": f"#{frozen.iid}",
        "Spec": frozen.spec,
        "Factory-Session": session.id,
        "Factory-Attempt": str(number),
    }
    # Quoted, so that no line of the agent looks like a trailer.
    said = "\n".join(f"> {line}" for line in turn.message.strip()[:_LONGEST_BODY].splitlines())
    text = worktree.message(frozen.title, said, trailers)
    return worktree.commit_all(session.worktree, message=text, author=context.agent_author)


def record_attempt(
    context: Context, session: Session, result: AttemptResult, *, checks: Sequence[Mapping[str, str]]
) -> None:
    """Record an attempt as evidence: the brief, the transcript, how it was contained, and the local gates' results."""
    folder = session.attempt(result.attempt)
    transcript.keep(folder)  # a crash may have left it uncompressed
    subjects = {
        "brief": canonical.digest(files.read_bytes(folder / "brief.md")),
        "transcript": canonical.digest(files.read_bytes(folder / transcript.KEPT)),
    }
    if result.head:
        subjects["commit"] = f"gitCommit:{result.head}"
    record(
        context,
        "attempt",
        issue=session.issue,
        subjects=subjects,
        predicate={
            "key": f"attempt/{session.issue}/{session.id}/{result.attempt}/{subjects['transcript'][7:19]}",
            "session": session.id,
            "attempt": result.attempt,
            "agent": asdict(result.agent),
            "reason": result.reason.value,
            "usage": dict(result.usage),
            "cost": asdict(result.cost),
            **({"windows": [asdict(item) for item in result.windows]} if result.windows else {}),
            "sandbox": {"level": result.level, "limits": dict(result.limits)},
            "outputs": [asdict(item) for item in result.outputs],
            "base": result.base,
            "head": result.head,
            "checks": list(checks),
        },
    )
