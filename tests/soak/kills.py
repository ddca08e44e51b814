"""`make soak-kills`: kills the parts of demos at random moments, on a busy machine, and counts what was lost.

Each run is a demo on an instance of its own, with two programs beside it that use a core each. A seed draws which part
is killed next (the command, the server, the runner, a job, the agent) and when. After each kill of the command a person
would type it again, and so does this. A run is stuck if it is not over within its time, and lost or twice if GitLab and
the evidence do not show one merge request, one deployment more for each environment, and one closed issue.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from factory.reports.tables import table
from tests.cli.instance.test_demo import assert_shipped_once
from tests.instances import Instance, founded
from tests.matrix import seed as usual_seed

PARTS = ("command", "server", "runner", "job", "agent")
# Seconds: the longest pause before a kill, how long a part is waited for, and the time of a whole busy run.
_PAUSE, _APPEARS, _RUN = 9.0, 30.0, 900.0
# What a person types after these exit codes: an apply of unknown result, and an issue that was given up.
_NEXT = {12: ("infra", "recover", "1"), 14: ("issue", "retry", "1")}
_BUSY = "while True: pass"


@dataclass
class Run:
    """What one demo came to: kills by part, how often a person had to type a command, and what was wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    recoveries: int = 0
    retried: int = 0
    seconds: float = 0.0
    problem: str = ""


def processes(made: Instance) -> dict[str, list[int]]:
    """Return the processes of an instance by part."""
    found: dict[str, list[int]] = {part: [] for part in PARTS}
    state = str(made.state)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            there = str((folder / "cwd").readlink())
            line = " ".join(words)
            if "-m factory" in line and str(made.clone) in there:
                part = "server" if "serve" in words else "runner" if "runner" in words else "command"
                found[part].append(int(folder.name))
            elif "/builds/" in there and state in there:
                found["job"].append(int(folder.name))
            elif "/sessions/" in there + line and state in there + line:
                found["agent"].append(int(folder.name))
            elif "factory" in line and state in line and "serve" in words:
                found["server"].append(int(folder.name))
            elif "factory" in line and state in line and "runner" in words:
                found["runner"].append(int(folder.name))
    return found


def kill(made: Instance, draw: random.Random, running: "subprocess.Popen[bytes]") -> str | None:
    """Draw a part, wait a while for it to run, and kill one of its processes, else one of any part; return the part.

    An agent and a job run for seconds of the minutes of a demo: without waiting, hardly one would be killed.
    """
    part, end = draw.choice(PARTS), time.monotonic() + _APPEARS
    while time.monotonic() < end and running.poll() is None:
        found = processes(made)
        if found[part]:
            break
        time.sleep(0.1)
    there = {name: pids for name, pids in processes(made).items() if pids}
    if not there:
        return None
    chosen = part if part in there else draw.choice(sorted(there))
    with suppress(ProcessLookupError):
        os.kill(draw.choice(sorted(there[chosen])), signal.SIGKILL)
    return chosen


def one(folder: Path, draw: random.Random, most: int) -> Run:
    """Run one demo with at most ``most`` kills."""
    made, run, start = founded(folder, name="demo"), Run(), time.monotonic()
    try:
        while True:
            done = _command(made, ["demo", "--yes", "--keep"], run, draw, most, start + _RUN)
            if done is None:
                run.problem = "stuck"
                return run
            if done == 0:
                break
            if done in _NEXT:
                run.recoveries += 1
                run.retried += _NEXT[done][0] == "issue"
                _command(made, ["--instance", "demo", *_NEXT[done]], run, draw, most, start + _RUN)
        try:
            assert_shipped_once(made, retried=run.retried, recovered=run.recoveries - run.retried)
        except AssertionError as error:
            line = traceback.extract_tb(error.__traceback__)[-1].line
            run.problem = f"lost or twice: {line} {str(error)[:300]}"
        return run
    finally:
        run.seconds = time.monotonic() - start
        made.run("--instance", "demo", "down", check=False)


def _command(made: Instance, arguments: list[str], run: Run, draw: random.Random, most: int, end: float) -> int | None:
    """Run a command with kills; return its exit code, or ``None`` if the run's time is over."""
    run.commands += 1
    with (made.state / "output.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, "-P", "-m", "factory", *arguments],
            cwd=made.clone,
            env=made.env(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        while running.poll() is None:
            pause = draw.uniform(0.5, _PAUSE)
            with suppress(subprocess.TimeoutExpired):
                running.wait(pause)
            if time.monotonic() > end:
                running.kill()
                running.wait()
                return None
            if running.poll() is None and run.kills.total() < most and (part := kill(made, draw, running)):
                run.kills[part] += 1
        return running.returncode


@contextmanager
def busy(count: int = 2) -> Iterator[None]:
    """Let programs use a core each during the block."""
    beside = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for program in beside:
            program.kill()
            program.wait()


def main() -> None:
    """Run the demos and print a table; exit with 1 if a run was stuck, lost something or did something twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=usual_seed())
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10, help="in each run")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="factory-soak-") as name:
        os.environ.setdefault("FACTORY_TEST_SHARED", f"{name}/shared")
        os.environ.setdefault("XDG_CACHE_HOME", f"{name}/cache")
        Path(os.environ["FACTORY_TEST_SHARED"]).mkdir(parents=True, exist_ok=True)
        with busy():
            for number in range(given.runs):
                run = one(Path(name) / f"run-{number}", random.Random(f"{given.seed} {number}"), given.kills)
                found.append(run)
                sys.stderr.write(f"run {number + 1}: {dict(run.kills)} {run.problem or 'held'} {run.seconds:.0f} s\n")
    rows = [
        [
            str(n + 1),
            *(str(run.kills[part]) for part in PARTS),
            str(run.commands),
            str(run.recoveries),
            f"{run.seconds:.0f}",
            run.problem or "held",
        ]
        for n, run in enumerate(found)
    ]
    total = sum(run.kills.total() for run in found)
    wrong = [run for run in found if run.problem]
    sys.stdout.write(table(["run", *PARTS, "commands", "recoveries", "seconds", "result"], rows) + "\n")
    sys.stdout.write(f"seed {given.seed}: {total} kills in {len(found)} runs, {len(wrong)} stuck, lost or twice\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
