"""The replay agent, driven by our own client as any agent is; its recording fits the application as it stands."""

import shutil
import sys
from pathlib import Path
from typing import Any

from factory.agents import acp
from factory.agents import recording as recorded
from factory.agents.attempt_limits import Bounds
from factory.agents.outputs import compose, read
from factory.agents.permissions import Permissions
from factory.agents.recording import Attempt, Recording
from factory.agents.replay import recording_for
from factory.agents.task import Task
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Level, PreparedLaunch
from factory.worktrees import patch
from tests.servers import ROOT, TOOL_ENV, git

BRIEF = "Attempt: {n}\nIssue: #1\nSpec: hello\n\nGreet a visitor by name\n"


def play(
    worktree: Path, brief: str, frozen: tuple[str, ...] = ("policies",), recordings: Path | None = None, **env: str
) -> tuple[Turn, list[Any]]:
    events: list[Any] = []
    own = ("--recordings", str(recordings)) if recordings else ()
    argv = (sys.executable, "-P", "-m", "factory", "agent", "replay", *own)
    with (worktree.parent / "errors").open("wb") as errors:
        task = Task(brief, worktree, Permissions(worktree, frozen), Bounds(30, 20, 1_000_000))
        ended = acp.run(
            PreparedLaunch(argv, worktree, {**TOOL_ENV, **env}, Level.HOST), task, record=events.append, errors=errors
        )
    return ended, events


def copy_of_the_app(folder: Path) -> Path:
    worktree = folder / "work"
    shutil.copytree(ROOT / "apps", worktree / "apps", ignore=shutil.ignore_patterns("__pycache__"))
    git("init", "-q", cwd=worktree)
    return worktree


def test_first_attempt_breaks_the_contract_and_second_mends_it(tmp_path: Path) -> None:
    worktree = copy_of_the_app(tmp_path)
    source = worktree / "apps/hello/src/hello.py"
    ended, _ = play(worktree, BRIEF.format(n=1))
    assert ended.reason is Reason.DONE_FOR_REVIEW, ended
    assert '"name": name' in source.read_text()
    assert ended.usage["total_tokens"] > 0
    ended, _ = play(worktree, BRIEF.format(n=2))
    assert ended.reason is Reason.DONE_FOR_REVIEW, ended
    assert '"name": name' not in source.read_text()


def test_a_brief_without_a_recording_changes_nothing(tmp_path: Path) -> None:
    worktree = copy_of_the_app(tmp_path)
    ended, _ = play(worktree, "Attempt: 1\nSpec: other\n")
    assert ended.reason is Reason.BLOCKED
    assert git("status", "--porcelain", "-uno", cwd=worktree).stdout == ""


def test_a_refused_edit_is_not_made(tmp_path: Path) -> None:
    worktree = copy_of_the_app(tmp_path)
    before = (worktree / "apps/hello/src/hello.py").read_text()
    ended, events = play(worktree, BRIEF.format(n=1), frozen=("apps",))
    assert ended.reason is Reason.BLOCKED
    assert any(event["event"] == "permission" and event["denied"] for event in events)
    assert (worktree / "apps/hello/src/hello.py").read_text() == before


def test_no_third_attempt_is_recorded() -> None:
    assert recording_for(BRIEF.format(n=2)) is not None
    assert recording_for(BRIEF.format(n=3)) is None


def test_requests_binary_files_and_a_question_are_played(tmp_path: Path) -> None:
    worktree = copy_of_the_app(tmp_path)
    git("add", "-A", cwd=worktree)
    git("commit", "-qm", "start", cwd=worktree)
    (worktree / "apps/logo").write_bytes(b"\0\xff logo")
    git("add", "-A", cwd=worktree)
    git("commit", "-qm", "logo", cwd=worktree)
    made = patch.between(worktree, "HEAD~1", "HEAD")
    git("reset", "-q", "--hard", "HEAD~1", cwd=worktree)
    request = compose("comment", {"text": "There is a logo."}, why="so that it is seen")
    attempts = (
        Attempt((recorded.Turn("I draw.", (), made),), outputs=(request,)),
        Attempt((), question="Which colour?"),
    )
    (tmp_path / "own").mkdir()
    (tmp_path / "own/logo.json").write_bytes(Recording("hello", "Draw a logo", attempts).encode())
    brief = BRIEF.replace("Greet a visitor by name", "Draw a logo")
    asked = tmp_path / "requests.jsonl"
    ended, events = play(worktree, brief.format(n=1), recordings=tmp_path / "own", FACTORY_OUTPUTS=str(asked))
    assert ended.reason is Reason.DONE_FOR_REVIEW, ended
    assert (worktree / "apps/logo").read_bytes() == b"\0\xff logo"
    assert [event["paths"] for event in events if event["event"] == "permission"] == [["apps/logo"]]
    assert read(asked).requests == (request,)
    ended, _ = play(worktree, brief.format(n=2), recordings=tmp_path / "own")
    assert ended.message.strip() == "Question: Which colour?"


def test_a_file_that_is_no_recording_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    worktree = copy_of_the_app(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/broken.json").write_text("{")
    ended, _ = play(worktree, BRIEF.format(n=1), recordings=tmp_path / "own")
    assert ended.reason is Reason.BLOCKED
    assert "broken.json" in ended.message
