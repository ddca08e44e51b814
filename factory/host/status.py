"""What a host says of its releases: the values of its file ``status.json``."""

from dataclasses import dataclass

STATUS = "status.json"


@dataclass(frozen=True)
class HostedRelease:
    """A release that must run: its archive's digest, whether it answers, and if not, why; ``role`` is why it must."""

    release: str
    archive: str
    ready: bool
    socket: str
    why: str = ""
    role: str = ""


@dataclass(frozen=True)
class HostStatus:
    """What a host runs, by which log (its size and root), when that was read (RFC 3339), and what hinders it."""

    project: str
    environment: str
    size: int
    root: str
    read: str
    releases: tuple[HostedRelease, ...]
    problem: str = ""
