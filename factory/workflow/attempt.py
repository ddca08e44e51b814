"""One attempt: the agent's turn in the worktree, the commit of what it changed, and what is kept of both."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory.agents import acp
from factory.errors import InvalidInput
from factory.gates.run import Decision, decide
from factory.model.agent import Turn
from factory.model.session import Session
from factory.policies.model import Agent, Policies
from factory.sandbox import launch
from factory.system import canonical, clock, files
from factory.workflow import judging
from factory.workflow.context import PROTECTED_IN_WORKTREE, Context
from factory.workflow.intake import Frozen
from factory.workflow.record import record
from factory.worktrees import worktree

_LONGEST_BODY = 2000


def agent_of(context: Context, policies: Policies) -> tuple[str, Agent]:
    """Return the agent that works: the one asked for, or policy's default; raises ``InvalidInput``."""
    name = context.agent_name or policies.agents.default
    if name not in policies.agents.agents:
        raise InvalidInput(f"policies/agents.yml: there is no agent {name!r}")
    return name, policies.agents.agents[name]


def run(
    context: Context, session: Session, number: int, *, policies: Policies, brief: str, tick: Callable[[], None]
) -> tuple[Turn, str]:
    """Run the agent behind the launch door; return how its turn ended and the sandbox level it had.

    Brief, transcript and standard error are kept in the attempt's folder.
    """
    folder, path = session.attempt(number), session.worktree
    files.remove_tree(folder)
    home = files.private_folder(folder / "home")
    files.write_atomic(folder / "brief.md", brief.encode())
    name, agent = agent_of(context, policies)
    prepared = launch.prepare(
        launch.Launch(
            argv=agent.command,
            cwd=path,
            env={**context.env, "HOME": str(home), "TMPDIR": str(home)},
            writable=(path, home),
            readable=(*context.readable, worktree.git_dir(path), context.mirror.path, checks_folder(session), folder),
            frozen=tuple(path / name for name in PROTECTED_IN_WORKTREE),
            required=agent.sandbox,
        )
    )
    context.say(f"attempt {number}: {name} works (sandbox level {prepared.level})")
    limits = agent.limits
    with files.appender(folder / "transcript.jsonl") as append, (folder / "stderr.log").open("wb") as errors:
        turn = acp.run_turn(
            prepared,
            brief,
            worktree=path,
            frozen=PROTECTED_IN_WORKTREE,
            bounds=acp.Bounds(limits.turn_seconds, limits.silence_seconds, limits.output_bytes),
            errors=errors,
            tick=tick,
            record=lambda event: append(json.dumps({"time": clock.timestamp(), **event}).encode() + b"\n"),
        )
    return turn, prepared.level.value


def local_verdict(context: Context, session: Session, policies: Policies, head: str) -> Decision:
    """Judge the session's commit by the local gates, as the protected branch has them."""
    main = context.main()
    place = judging.Checkout(
        folder=session.worktree,
        base=context.mirror.merge_base(main, head),
        head=head,
        target=main,
        author=context.agent.account,
        branch=session.branch,
        date=clock.timestamp()[:10],
        env=context.env,
    )

    def judge(path: str) -> bytes | None:
        return context.mirror.read(main, path) if path in known else None

    known = set(context.mirror.paths(main))
    facts = judging.facts(place, policies, judge=judge)
    tests, covered, leaked = judging.claims(place, policies, scratch=checks_folder(session), readable=context.readable)
    return decide(
        replace(facts, tests=tests, coverage=covered, scanned=leaked), policies, where="local", judge_sha=main
    )


def checks_folder(session: Session) -> Path:
    """Return where the local checks leave their reports and logs."""
    return session.folder / "checks"


def logs(session: Session) -> dict[str, str]:
    """Return the whole log of each local check that left one, by gate."""
    found = sorted(checks_folder(session).glob("*/log.txt"))
    return {path.parent.name: str(path) for path in found}


def commit(context: Context, session: Session, number: int, frozen: Frozen, turn: Turn) -> str | None:
    """Commit what the agent changed, under its account; return the commit, or ``None`` where nothing changed."""
    if not worktree.changed_paths(session.worktree):
        return None
    trailers = {
        "Issue": f"#{frozen.iid}",
        "Spec": frozen.spec,
        "Factory-Session": session.id,
        "Factory-Attempt": str(number),
    }
    # Quoted, so that no line of the agent's can pass for a trailer.
    said = "\n".join(f"> {line}" for line in turn.message.strip()[:_LONGEST_BODY].splitlines())
    text = worktree.message(frozen.title, said, trailers)
    return worktree.commit_all(session.worktree, message=text, author=context.agent_author)


def record_attempt(
    context: Context,
    session: Session,
    number: int,
    *,
    policies: Policies,
    made: Mapping[str, Any],
    checks: Sequence[Mapping[str, str]],
) -> None:
    """Record an attempt: what it was told, what it did, how it was contained, and what the local gates said."""
    folder = session.attempt(number)
    name, agent = agent_of(context, policies)
    subjects = {
        "brief": canonical.digest(files.read_bytes(folder / "brief.md")),
        "transcript": canonical.digest(files.read_bytes(folder / "transcript.jsonl")),
    }
    if made["head"]:
        subjects["commit"] = f"gitCommit:{made['head']}"
    record(
        context,
        "attempt",
        issue=session.issue,
        subjects=subjects,
        predicate={
            "key": f"attempt/{session.issue}/{session.id}/{number}/{subjects['transcript'][7:19]}",
            "session": session.id,
            "attempt": number,
            "agent": {"name": name, "version": agent.version},
            "reason": made["reason"],
            "usage": made["usage"],
            "sandbox": {"level": made["level"]},
            "base": made["base"],
            "head": made["head"],
            "checks": list(checks),
        },
    )
