"""Programs that take a brief and change files: each way of ending, and none that outlasts its limits."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.agents import command
from factory.agents.attempt_limits import Bounds
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.agents.task import Task
from factory.errors import MachineError
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Level, PreparedLaunch
from factory.system import process
from tests.servers import TOOL_ENV, wait_for

BOUNDS = Bounds(turn_seconds=20, silence_seconds=10, output_bytes=2_000_000)


def run(
    folder: Path, *argv: str, brief: str = "the brief", bounds: Bounds = BOUNDS, tick: Any = lambda: None, **task: Any
) -> tuple[Turn, list[Any]]:
    events: list[Any] = []
    given = replace(Task(brief, folder, Permissions(folder), bounds), **task)
    with (folder / "errors").open("wb") as errors:
        prepared = PreparedLaunch(argv, folder, TOOL_ENV, Level.HOST)
        ended = command.run(prepared, given, record=events.append, errors=errors, tick=tick)
    return ended, events


def python(folder: Path, what: str, **task: Any) -> tuple[Turn, list[Any]]:
    return run(folder, sys.executable, "-c", f"import os, sys, time\n{what}", **task)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, Reason.DONE_FOR_REVIEW),
        (1, Reason.CRASHED),
        (127, Reason.CRASHED),
        (-9, Reason.KILLED),
        (137, Reason.KILLED),
    ],
)
def test_exit_codes(tmp_path: Path, code: int, reason: Reason) -> None:
    what = f"sys.exit({code})" if code >= 0 else "os.kill(os.getpid(), 9)"
    ended, events = python(tmp_path, what)
    assert ended.reason is reason
    assert str(code) in ended.detail
    assert [event["event"] for event in events] == ["prompt", "end"]


def test_what_it_prints_is_kept_line_by_line_to_the_last_word(tmp_path: Path) -> None:
    ended, events = python(tmp_path, "print('one\\n\\ntwo é'); sys.stdout.write('x' * 200000 + '\\nlast')")
    told = [event["text"] for event in events if event["event"] == "output"]
    assert told[:2] == ["one", "two é"]
    assert "".join(told[2:]) == "x" * 200_000 + "last"
    assert ended.message.endswith("last")
    assert ended.source == "estimate"


def test_the_brief_is_a_file_or_standard_input_and_never_both(tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("in a file")
    assert command.argv(("x", "--message", "{brief}", "{brief}x"), Path("/b")) == ("x", "--message", "/b", "{brief}x")
    argv = command.argv(("sh", "-c", 'cat "$0" -', "{brief}"), tmp_path / "brief.md")
    assert run(tmp_path, *argv, brief="by stdin", stdin=False)[0].message == "in a file"
    assert run(tmp_path, "cat", brief="by stdin é")[0].message == "by stdin é"


@pytest.mark.parametrize("what", ["pass", "print('x' * 100)", "sys.stdin.close(); time.sleep(0.3)"])
def test_a_program_that_never_reads_a_brief_of_a_megabyte(tmp_path: Path, what: str) -> None:
    ended, _ = python(tmp_path, what, brief="x" * 1_000_000)
    assert ended.reason is Reason.DONE_FOR_REVIEW


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("time.sleep(60)", Reason.STALLED),
        ("sys.stdin.read(); time.sleep(60)", Reason.STALLED),
        ("os.close(1); time.sleep(60)", Reason.STALLED),
        ("os.close(1); os.close(0); time.sleep(60)", Reason.STALLED),
        ("while True: print('x', flush=True); time.sleep(0.1)", Reason.TIMED_OUT),
        ("while True: sys.stdout.write('x' * 65536)", Reason.CRASHED),
        ("while True: sys.stdout.write('x\\n' * 65536)", Reason.CRASHED),
        ("while True: sys.stderr.write('x' * 65536)", Reason.CRASHED),
    ],
)
def test_hanging_and_flooding_end_within_the_limits(tmp_path: Path, what: str, reason: Reason) -> None:
    began = time.monotonic()
    ended, events = python(
        tmp_path, what, bounds=Bounds(2.5 if reason is Reason.TIMED_OUT else 12, 1, 2_000_000), brief="x" * 200_000
    )
    assert ended.reason is reason
    assert time.monotonic() - began < 45
    assert events[-1]["event"] == "end"


def test_a_program_whose_child_holds_its_pipes_is_known_to_be_gone(tmp_path: Path) -> None:
    what = (
        "import subprocess\nchild = subprocess.Popen(['sleep', '120'], start_new_session=True)\n"
        "open('child', 'w').write(str(child.pid))"
    )
    began = time.monotonic()
    try:
        ended, _ = python(tmp_path, what, brief="x" * 1_000_000)
    finally:
        process.signal_process(int((tmp_path / "child").read_text()), force=True)
    assert ended.reason is Reason.DONE_FOR_REVIEW
    assert time.monotonic() - began < 60


def test_nothing_of_it_is_left_running(tmp_path: Path) -> None:
    what = "import subprocess\nopen('child', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    python(tmp_path, what)
    wait_for(lambda: process.started_at(int((tmp_path / "child").read_text())) is None)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize(("status", "reason"), [(401, Reason.AUTH_FAILED), (429, Reason.PROVIDER_LIMITED)])
def test_its_model_failed_whatever_it_says_itself(tmp_path: Path, code: int, status: int, reason: Reason) -> None:
    provider = Provider()
    provider.answered(1, status, {"retry-after": "7"})
    ended, _ = python(tmp_path, f"sys.exit({code})", provider=provider)
    assert ended.reason is reason
    assert bool(ended.reset_at) is (reason is Reason.PROVIDER_LIMITED)


def test_a_provider_that_will_not_serve_for_long_is_not_waited_for(tmp_path: Path) -> None:
    provider = Provider()
    provider.answered(1, 429, {"retry-after": "600"})
    assert python(tmp_path, "time.sleep(60)", provider=provider)[0].reason is Reason.PROVIDER_LIMITED


def test_it_pays_for_what_its_provider_counts_or_would_have_counted(tmp_path: Path) -> None:
    provider = Provider()

    def tick() -> None:
        provider.asked(40_000)
        provider.answered(1, 200, {})
        provider.done(1)

    ended, _ = python(tmp_path, "time.sleep(60)", bounds=replace(BOUNDS, tokens=25_000), provider=provider, tick=tick)
    assert (ended.reason, ended.source) == (Reason.BUDGET_EXHAUSTED, "estimate")


@pytest.mark.long
def test_a_person_cancels_and_holds_it(tmp_path: Path) -> None:
    ended, _ = python(tmp_path, "time.sleep(60)", tick=lambda: (Reason.CANCELLED_BY_HUMAN, "by me"))
    assert (ended.reason, ended.detail) == (Reason.CANCELLED_BY_HUMAN, "by me")
    began = time.monotonic()
    ended, events = python(
        tmp_path,
        "time.sleep(1)",
        paused=lambda: 0.5 < time.monotonic() - began < 3,
        bounds=Bounds(1.9, 1.9, 1000),
    )
    assert ended.reason is Reason.DONE_FOR_REVIEW, ended
    assert "paused" in [event.get("text") for event in events]


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        run(tmp_path, "no-such-program")
