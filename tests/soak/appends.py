"""Appends to the evidence while a file call of git fails or kills it, by a seed: `python -m tests.soak.appends`.

Each run appends one statement to a log of its own. strace lets one call of one git process fail with EIO or ENOSPC, or
kills the process at it: the factory's git and the server's, because the server's repository is a folder here. Then the
log on the server must be the old or the new one, a statement that was acknowledged must be there, and the next append
must work.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from factory.errors import FactoryError
from factory.evidence import transparency_log
from factory.evidence.verify import verify
from factory.reports.tables import table
from factory.system import git_locks
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.worktrees.repository import Mirror
from tests.evidence import examples
from tests.workflow.recorded_gitlab import world

# Not `close`: a call that strace lets fail leaves the pipe open, which no kernel does, and git waits for its end.
CALLS = ("openat", "read", "write", "rename", "link", "unlink", "mkdir", "fsync", "ftruncate")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
_LAST = 40  # most git processes of an append make fewer calls of one kind
_SHIM = '#!/bin/sh\nexec strace -f -q -o "$FAULT_LOG.$$" -e trace="$FAULT_CALL" -e inject="$FAULT" {git} "$@"\n'


@dataclass(frozen=True)
class Run:
    """A run: the call, the fault, whether a process met it, whether the append was acknowledged, and its problem."""

    call: str
    fault: str
    met: bool
    acknowledged: bool
    problem: str


def once(folder: Path, draw: random.Random) -> Run:
    """Append once with a drawn fault."""
    call, fault, number = draw.choice(CALLS), draw.choice(FAULTS), draw.randint(1, _LAST)
    context = world(folder, "claimed").context
    _append(context, 0)
    logs = folder / "faults"
    logs.mkdir()
    shim = folder / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(_SHIM.format(git=shutil.which("git")))
    shim.chmod(0o700)
    before = dict(os.environ)
    injected = {"FAULT_LOG": str(logs / "log"), "FAULT_CALL": call, "FAULT": f"{call}:{fault}:when={number}"}
    os.environ |= {"PATH": f"{shim.parent}:{before['PATH']}", **injected}
    try:
        _append(context, 1)
        acknowledged = True
    except FactoryError:
        acknowledged = False
    finally:
        os.environ.clear()
        os.environ.update(before)
    said = "".join(path.read_text(errors="replace") for path in logs.iterdir())
    met = "(INJECTED)" in said or "killed by SIGKILL" in said
    return Run(call, fault, met, acknowledged, _problem(context, folder, acknowledged=acknowledged))


def _append(context: Context, number: int) -> None:
    predicate = {
        "key": f"restore/{number}",
        "stack": "production",
        "from_serial": 1,
        "serial": 2,
        "by": "a",
        "reason": "b",
    }
    record(context, "restore", issue=0, subjects={"state": examples.digest("state")}, predicate=predicate)


def _problem(context: Context, folder: Path, *, acknowledged: bool) -> str:
    """Return what is wrong with the log on the server, and with the append after the fault; empty if nothing is."""
    size, found = _log(folder, "after")
    if found:
        return found
    if size not in ({2} if acknowledged else {1, 2}):
        return f"{size} statements, acknowledged: {acknowledged}"
    for repository in (Path(context.mirror.url), context.mirror.path):
        git_locks.remove_stale(repository, seconds=0)  # as each start does with locks that are old
    try:
        context.fetch()
        _append(context, 1)
        _append(context, 2)
    except FactoryError as error:
        return f"the next append fails: {error}"
    size, found = _log(folder, "later")
    return found or ("" if size == 3 else f"{size} statements after the next append")


def _log(folder: Path, name: str) -> tuple[int, str]:
    """Return how many statements the server's log has, and the first finding of its verification."""
    mirror = Mirror(folder / f"{name}.git", str(folder / "origin.git"))
    mirror.ensure()
    mirror.fetch("")
    head = mirror.head(transparency_log.BRANCH)
    report = verify(mirror.tree(head) if head else {}, trust=examples.trust(), merge_request=None)
    finding = next((str(item) for item in report.findings), "")
    return report.size, finding


def runs(seed: int, count: int) -> tuple[str, bool]:
    """Run until ``count`` appends have met a fault; return a table by call and fault, and whether all held."""
    draw, done = random.Random(seed), list[Run]()
    while sum(item.met for item in done) < count and len(done) < 6 * count:
        with tempfile.TemporaryDirectory(prefix="factory-soak-") as name:
            done.append(once(Path(name), draw))
    met = [item for item in done if item.met]
    by = Counter((item.call, item.fault, item.acknowledged) for item in met)
    lines = [[call, fault, "yes" if told else "no", number] for (call, fault, told), number in sorted(by.items())]
    bad = [item for item in done if item.problem]
    told = [f"  {item.call} {item.fault}: {item.problem}" for item in bad]
    summary = f"seed {seed}: {len(met)} appends met a fault ({len(done) - len(met)} did not), {len(bad)} violations"
    return "\n".join([table(["call", "fault", "acknowledged", "appends"], lines), *told, summary]), not bad


def main() -> None:
    """Run and print; exit 1 if a run did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--count", type=int, default=300)
    given = parser.parse_args()
    text, held = runs(given.seed, given.count)
    sys.stdout.write(text + "\n")
    sys.exit(not held)


if __name__ == "__main__":
    main()
