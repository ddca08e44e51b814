"""The local gates: what they say of an attempt's commit, kept with the attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.gates.run import Decision, decide
from factory.model.facts import Origin
from factory.model.session import Session
from factory.operations.collect import facts as judging
from factory.operations.repository import app_tests
from factory.operations.repository.app_tests import Suite
from factory.policies.model import Policies
from factory.reports import findings
from factory.system import clock, data, files
from factory.workflow.context import Context

_FILE = "checked.json"


@dataclass(frozen=True)
class Checked:
    """What the local gates said of an attempt: what must be fixed, and each gate's result."""

    feedback: tuple[str, ...]
    gates: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class _Kept:
    """What the gates said of a commit, as the attempt's folder keeps it."""

    head: str
    checked: Checked


def check(context: Context, session: Session, policies: Policies, *, number: int, head: str) -> Checked:
    """Run the local gates once on an attempt's commit, and keep what they said.

    On a busy machine a second run may say something else, but evidence has one result of an attempt.
    """
    path = session.attempt(number) / _FILE
    if path.exists():
        kept = data.read(_Kept, files.read_bytes(path), source=str(path))
        if kept.head == head:
            return kept.checked
    start = clock.monotonic()
    decision = local_verdict(context, session, policies, head)
    context.console.timed("check", clock.monotonic() - start)
    gates = tuple({"gate": verdict.gate, "result": verdict.result} for verdict in decision.verdicts)
    context.say("local gates: " + ", ".join(f"{item['gate']} {item['result']}" for item in gates))
    feedback = () if decision.passed else findings.brief(decision.verdicts, logs(session))
    checked = Checked(tuple(feedback), gates)
    files.write_atomic(path, data.write(_Kept(head, checked)))
    return checked


def suites(context: Context, policies: Policies, folder: Path, main: str) -> tuple[Suite, ...]:
    """Return the prepared suites of the apps in a worktree, whose Pythons have what main's files name."""
    if app_tests.UNIT not in policies.gates.checks:
        return ()
    paths = app_tests.naming(policies, sorted(context.mirror.paths(main)))
    contents = {path: context.mirror.read(main, path) for path in paths}
    found = app_tests.suites(policies, app_tests.apps_in(folder), contents)
    return app_tests.prepared(context.machine.environments, found, env=context.machine.env)


def local_verdict(context: Context, session: Session, policies: Policies, head: str) -> Decision:
    """Judge the session's commit by the protected branch's local gates."""
    main = context.main()
    place = judging.Checkout(
        folder=session.worktree,
        base=context.mirror.merge_base(main, head),
        head=head,
        target=main,
        origin=Origin(context.agent.account, branch=session.branch),
        date=clock.timestamp()[:10],
        env=context.machine.env,
    )

    def judge(path: str) -> bytes | None:
        return context.mirror.read(main, path) if path in known else None

    known = set(context.mirror.paths(main))
    facts = judging.facts(place, policies, judge=judge)
    found = judging.checked(
        place,
        policies,
        facts,
        scratch=checks_folder(session),
        readable=context.machine.readable,
        unit=suites(context, policies, session.worktree, main),
    )
    return decide(found, policies, where="local", judge_sha=main)


def checks_folder(session: Session) -> Path:
    """Return the folder for reports and logs of the local checks."""
    return session.folder / "checks"


def logs(session: Session) -> dict[str, str]:
    """Return the path of each local check's log, by gate."""
    found = sorted(checks_folder(session).glob("*/log.txt"))
    return {path.parent.name: str(path) for path in found}
