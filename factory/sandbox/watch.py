"""What a running launch uses, read from /proc: for limits that no kernel means of this machine holds."""

import os
from pathlib import Path

from factory.sandbox.limits import Limits
from factory.system import process_tree


def over(pid: int, limits: Limits) -> str | None:
    """Return which limit a process and its descendants exceed together, in words, or ``None``.

    Memory is the sum of resident sizes, so pages that processes share count for each; processor time is of those that
    live. A process that left the family (at level ``host``, by outliving its parent) is not seen.
    """
    memory, seconds, processes = used(pid)
    if limits.processes is not None and processes > limits.processes:
        return f"{processes} processes, of {limits.processes} allowed"
    if limits.memory_bytes is not None and memory > limits.memory_bytes:
        return f"{memory} bytes of memory, of {limits.memory_bytes} allowed"
    if limits.cpu_seconds is not None and seconds > limits.cpu_seconds:
        return f"{seconds:.0f} s of processor time, of {limits.cpu_seconds} allowed"
    return None


def used(pid: int) -> tuple[int, float, int]:
    """Return resident bytes, seconds of processor time and number of a process and its descendants."""
    memory, ticks, processes = 0, 0, 0
    for member in process_tree.family(pid):
        folder = Path(f"/proc/{member}")
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            pages = int((folder / "statm").read_text().split()[1])
        except OSError:
            continue
        memory += pages * os.sysconf("SC_PAGE_SIZE")
        ticks += int(fields[11]) + int(fields[12])
        processes += 1
    return memory, ticks / os.sysconf("SC_CLK_TCK"), processes
