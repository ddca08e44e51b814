"""Measures a running launch in /proc, for limits that the kernel of this machine cannot enforce."""

import os
from pathlib import Path

from factory.sandbox.limits import Limits
from factory.system import process_tree


def over(pid: int, limits: Limits) -> str | None:
    """Return a message about the limit that a process and its descendants exceed together, or ``None``.

    Memory is the sum of resident sizes, so shared pages count once per process. Processor time counts only live
    processes. At level ``host``, a process that outlived its parent is not counted.
    """
    memory, seconds, processes = used(pid)
    if limits.processes is not None and processes > limits.processes:
        return f"{processes} processes; the limit is {limits.processes}"
    if limits.memory_bytes is not None and memory > limits.memory_bytes:
        return f"{memory} bytes of memory; the limit is {limits.memory_bytes}"
    if limits.cpu_seconds is not None and seconds > limits.cpu_seconds:
        return f"{seconds:.0f} s of processor time; the limit is {limits.cpu_seconds} s"
    return None


def used(pid: int) -> tuple[int, float, int]:
    """Return resident bytes, seconds of processor time, and the count, of a process and its descendants."""
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
