"""Tests of hand-back on real git: the author of the commit and the summary for the agent."""

from pathlib import Path

import pytest

from factory.errors import FactoryError, Refused
from factory.gitlab import issues
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult
from factory.model.session import Session
from factory.workflow.claim import intake
from factory.workflow.context import Context
from factory.workflow.session import handover, results
from factory.workflow.session.handover import Handover
from factory.worktrees import worktree
from factory.worktrees.repository import Author
from tests.servers import LocalGitlab, git
from tests.workflow.loopback import context

PERSON = Author("Ada", "ada@localhost")


def ended(number: int, *, agent: str, resume: str) -> AttemptResult:
    return AttemptResult(number, "", None, Reason.DONE_FOR_REVIEW, "", AgentRef(agent), resume=resume)


@pytest.fixture(scope="module")
def running(gitlab_server: LocalGitlab, tmp_path_factory: pytest.TempPathFactory) -> Context:
    return context(gitlab_server, tmp_path_factory.mktemp("handover"), {"a.txt": b"one\n", "b.bin": b"\0\1"})


@pytest.fixture
def session(running: Context, tmp_path: Path) -> Session:
    issue = issues.create(running.bot, title="Greet", description="Spec: hello", labels=[])
    made = Session("s1", issue.iid, tmp_path / "session")
    worktree.prepare(running.mirror, made.worktree, commit=running.main())
    made.attempt(1).mkdir()
    results.write(made.attempt(1), ended(1, agent="codex", resume="agent-session"))
    return made


def back(running: Context, session: Session, *, done: bool = False) -> Handover | None:
    issue = issues.get(running.bot, session.issue)
    frozen = intake.freeze(issue, author_role="owner", limit=1000, small="factory-small")
    return handover.hand_back(running, session, frozen, after=1, author=PERSON, done=done)


def test_a_persons_changes_are_committed_under_their_name(running: Context, session: Session) -> None:
    (session.worktree / "a.txt").write_text("two\nthree\n")
    (session.worktree / "new é.txt").write_text("x\n")
    made = back(running, session)
    assert made is not None
    assert (made.attempt, made.after, made.by, made.base) == (0, 1, "Ada", running.main())
    assert (made.files, made.added, made.removed) == (2, 3, 1)
    assert "+two" in made.summary
    shown = git("log", "-1", "--format=%an <%ae>%n%B", cwd=session.worktree).stdout
    assert shown.startswith("Ada <ada@localhost>\nGreet\n")
    assert f"{handover.TRAILER}: 1" in shown
    assert "Factory-Attempt" not in shown
    assert handover.read(session.folder) == made
    assert back(running, session) == made, "a second hand-back must change nothing"


def test_a_persons_own_commits_count(running: Context, session: Session) -> None:
    (session.worktree / "a.txt").write_text("mine\n")
    git("add", "a.txt", cwd=session.worktree)
    git("commit", "-q", "-m", "mine", cwd=session.worktree)
    (session.worktree / "b.bin").unlink()
    made = back(running, session, done=True)
    assert made is not None
    assert (made.attempt, made.files) == (2, 2)
    value = handover.result(made)
    assert (value.head, value.agent.name) == (worktree.head(session.worktree), handover.PERSON)
    assert results.read(session.folder) is None
    results.write(session.folder, value)
    assert results.read(session.folder) == value
    assert "Factory-Attempt: 2" in git("log", "-1", "--format=%B", cwd=session.worktree).stdout


def test_without_changes_there_is_no_handover(running: Context, session: Session) -> None:
    assert back(running, session) is None
    assert handover.read(session.folder) is None


def test_the_summary_of_a_long_change_is_cut(running: Context, session: Session) -> None:
    (session.worktree / "a.txt").write_text("line\n" * 100_000)
    made = back(running, session)
    assert made is not None
    assert made.added == 100_000
    assert len(made.summary) < 10_000


def test_a_nested_repository_is_not_committed(running: Context, session: Session) -> None:
    (session.worktree / "inner").mkdir()
    git("init", "-q", cwd=session.worktree / "inner")
    with pytest.raises(Refused):
        back(running, session)
    assert handover.read(session.folder) is None


def test_a_session_without_that_attempt_is_refused(running: Context, session: Session) -> None:
    (session.attempt(1) / "turn.json").unlink()
    with pytest.raises(FactoryError):
        back(running, session)


def test_a_cancelled_attempt_is_archived_and_its_agent_resumes_once(session: Session) -> None:
    assert handover.begin_again(session, 1) == "agent-session"
    assert not session.attempt(1).exists()
    assert handover.resumable(session.folder, "codex") == "agent-session"
    assert handover.resumable(session.folder, "codex") == "", "once"
    for count in (2, 3):
        session.attempt(1).mkdir()
        results.write(session.attempt(1), ended(1, agent="claude", resume="r"))
        handover.begin_again(session, 1)
        assert (session.folder / f"attempt-1-ended-{count}/turn.json").exists()
    assert handover.resumable(session.folder, "codex") == "", "another agent cannot go on with it"


def test_a_long_change_is_cut_and_the_cut_is_named(running: Context, session: Session) -> None:
    for number in range(203):
        (session.worktree / f"f{number:03}").write_text("0123456\n" * 100)
    made = back(running, session)
    assert made is not None
    assert (made.files, made.added) == (203, 20_300)
    assert "\n- and 3 more files\n" in made.summary
    assert made.summary.endswith(
        f"~~~~\n\nThe difference is longer; `git diff {made.base[:12]} {made.head[:12]}` shows the whole."
    )
    assert len(made.summary) < 25_000
