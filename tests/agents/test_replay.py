"""The replay agent, driven by our own client as any agent is; its recording fits the application as it stands."""

import shutil
import sys
from pathlib import Path
from typing import Any

from factory.agents import acp
from factory.agents.metering import Bounds
from factory.agents.permissions import Permissions
from factory.agents.replay import recording_for
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Level, Prepared
from tests.servers import ROOT, TOOL_ENV, git

BRIEF = "Attempt: {n}\nIssue: #1\nSpec: hello\n\nGreet a visitor by name\n"


def play(worktree: Path, brief: str, frozen: tuple[str, ...] = ("policies",)) -> tuple[Turn, list[Any]]:
    events: list[Any] = []
    argv = (sys.executable, "-P", "-m", "factory", "agent", "replay")
    with (worktree.parent / "errors").open("wb") as errors:
        task = acp.Task(brief, worktree, Permissions(worktree, frozen), Bounds(30, 20, 1_000_000))
        ended = acp.run(Prepared(argv, worktree, TOOL_ENV, Level.HOST), task, record=events.append, errors=errors)
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
