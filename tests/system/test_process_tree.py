"""A process and all that came from it: held and let go on together, and ended even while held."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory.system import process, process_tree
from factory.system.process import Group
from tests.servers import ROOT, TOOL_ENV, wait_for

TREE = "sh -c 'sleep 60 & sleep 60' & setsid sleep 60 & wait"
# Starts programs without end, each in a session of its own.
BUSY = "import subprocess, time\nwhile True: subprocess.Popen(['sleep', '2'], start_new_session=True); time.sleep(0.01)"


def state(pid: int) -> str:
    """Return the letter of a process's state; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def members(pid: int) -> list[int]:
    return [one for one in process_tree.family(pid) if state(one) not in {"", "Z"} and not process.is_lifeline(one)]


@contextmanager
def running(*argv: str) -> Iterator[Group]:
    group = process.start(argv, env=TOOL_ENV)
    try:
        yield group
    finally:
        found = process_tree.family(group.popen.pid)
        group.kill()
        group.close()
        for one in found[1:]:
            process.signal_process(one, force=True)


def test_all_that_came_from_it_is_held_and_goes_on() -> None:
    with running("sh", "-c", TREE) as group:
        pid = group.popen.pid
        found = wait_for(lambda: len(members(pid)) == 5 and members(pid))
        process_tree.suspend(pid)
        wait_for(lambda: {state(one) for one in found} == {"T"})
        process_tree.carry_on(pid)
        wait_for(lambda: "T" not in {state(one) for one in found})


def test_what_starts_while_it_is_being_held_is_held() -> None:
    with running(sys.executable, "-c", BUSY) as group:
        pid = group.popen.pid
        wait_for(lambda: len(members(pid)) > 20)
        process_tree.suspend(pid)
        wait_for(lambda: {state(one) for one in members(pid)} <= {"T"})
        process_tree.carry_on(pid)


def test_a_held_group_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    what = (
        "import time; from pathlib import Path; from factory.system import process, process_tree\n"
        f"group = process.start(['sleep', '60'], env={{'PATH': {TOOL_ENV['PATH']!r}}})\n"
        "time.sleep(0.3); process_tree.suspend(group.popen.pid)\n"
        f"Path({str(tmp_path / 'pid')!r}).write_text(str(group.popen.pid)); time.sleep(60)"
    )
    starter = process.start([sys.executable, "-c", what], env={**TOOL_ENV, "PYTHONPATH": str(ROOT)})
    try:
        pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        assert state(pid) == "T"
        os.kill(starter.popen.pid, signal.SIGKILL)
        wait_for(lambda: state(pid) in {"", "Z"})
    finally:
        starter.kill()
        starter.close()


def test_a_process_that_is_gone_is_no_trouble() -> None:
    with running("true") as group:
        group.popen.wait()
        assert process_tree.family(group.popen.pid) == [group.popen.pid]
        process_tree.suspend(group.popen.pid)
        process_tree.carry_on(group.popen.pid)
