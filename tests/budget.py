"""Runs a command and fails if it takes more wall time on quiet cores than tests/budgets.json allows.

Usage: python3 tests/budget.py NAME -- COMMAND [ARGUMENT ...]

Machines differ, and one machine differs from hour to hour. So a small fixed piece of work is timed again and again
during the run: where it needs more CPU time than on the core that the budgets are for, the budget grows in the
same ratio. On a machine with fewer than two cores, or one whose cores other programs used, a longer run is told but
does not fail. It runs before anything is installed, so it imports only Python's own library.
"""

import ctypes
import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BUDGETS = Path(__file__).with_name("budgets.json")
# The cores that a budget is for, and the share of them that other programs may use on a quiet machine.
_CORES, _OTHERS = 2, 0.1
# The CPU seconds of the fixed work on a quiet core, which shares its arithmetic units with no other, and the seconds
# between two samples.
_REFERENCE, _INTERVAL = 0.0105, 3.0
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# Fields of the first line of /proc/stat (proc(5)): user, nice, system, irq, softirq, steal; guest is in user.
_BUSY = (1, 2, 3, 6, 7, 8)


@dataclass(frozen=True)
class Run:
    """A run: its budget and its wall time in seconds, the machine's cores, and the share that others used of them.

    ``slower`` says how many times longer the fixed work took than on the core that budgets are for.
    """

    name: str
    budget: int
    wall: float
    cores: int
    others: float
    slower: float = 1.0

    @property
    def allowed(self) -> float:
        """The budget on this machine, in seconds; a faster machine gets no smaller one."""
        return self.budget * max(1.0, self.slower)

    @property
    def exceeded(self) -> bool:
        """Whether the run took longer than its budget although the machine was quiet."""
        return self.wall > self.allowed and self.cores >= _CORES and self.others <= _OTHERS

    @property
    def summary(self) -> str:
        """The line that tells the time, the budget, and how much slower this machine was, if it was."""
        line = f"{self.name}: {self.wall:.0f} s of {self.allowed:.0f} s"
        line += f" ({self.budget} s x {self.slower:.2f}, the machine is slow)" if self.slower > 1 else ""
        if self.wall <= self.allowed or self.exceeded:
            return line + (": the budget is exceeded" if self.exceeded else "")
        return f"{line}: not judged, other programs used {self.others:.0%} of {self.cores} cores"


def main(argv: list[str]) -> int:
    """Run the command; return its exit code, or 1 if it succeeded but exceeded its budget."""
    name, separator, *command = argv
    if separator != "--" or not command:
        sys.exit(__doc__)
    start, busy = time.monotonic(), _busy()
    with _sampled() as samples:
        code = _run(command)
    wall, cores = time.monotonic() - start, os.cpu_count() or 1
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = max(0.0, _busy() - busy - own.ru_utime - own.ru_stime) / (wall * cores)
    slower = statistics.median(samples) / _REFERENCE
    run = Run(name, json.loads(_BUDGETS.read_text())[name], wall, cores, others, round(slower, 2))
    sys.stdout.write(run.summary + "\n")
    return code or int(run.exceeded)


def _run(command: list[str]) -> int:
    """Return the command's exit code; the servers that it leaves to nobody are this process' children, and counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.posix_spawnp(command[0], command, os.environ)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


@contextmanager
def _sampled() -> Iterator[list[float]]:
    """Yield the list of the fixed work's CPU seconds, which grows during the block and has at least one number."""
    over, samples = threading.Event(), [_fixed_work()]

    def sample() -> None:
        while not over.wait(_INTERVAL):
            samples.append(_fixed_work())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        over.set()
        sampler.join()


def _fixed_work() -> float:
    """Return the CPU seconds that this thread needs for a fixed number of dictionary writes.

    Waiting for a core is not counted, but a slower core is.
    """
    start, counts = time.thread_time(), dict.fromkeys(range(977), 0)
    for number in range(60_000):
        counts[number % 977] += number * number % 7
    return time.thread_time() - start


def _busy() -> float:
    """Return the seconds that all cores have worked since the machine started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(fields[place]) for place in _BUSY) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
