"""A release that a supervisor keeps, and the path at which the supervisor says which one answers."""

from dataclasses import dataclass

# Under each hostname of an app, the supervisor answers this path with JSON that names the release; no app has to.
RELEASE_PATH = "/.well-known/factory-release"


@dataclass(frozen=True)
class KeptRelease:
    """A stored release: its name, its archive's SHA-256 in hex, when it came (RFC 3339), and whether it runs."""

    name: str
    sha256: str
    created_on: str
    state: str = "stopped"
