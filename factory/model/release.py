"""A release that a supervisor keeps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptRelease:
    """A stored release: its name, its archive's SHA-256 in hex, when it came (RFC 3339), and whether it runs."""

    name: str
    sha256: str
    created_on: str
    state: str = "stopped"
