"""What the launch door holds at each level, in the words of ``factory doctor`` and docs/sandbox.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from factory.sandbox.launch import Level


@dataclass(frozen=True)
class Held:
    """One thing of a launched process: what confines it, and whether that is a containment."""

    what: str
    how: str
    contained: bool


_ANY = "as your user may"
HELD: Mapping[Level, tuple[Held, ...]] = MappingProxyType(
    {
        Level.BWRAP: (
            Held("files it reads", "system programs and the folders that the launch names", True),
            Held("files it writes", "its worktree without the frozen paths, and a private home", True),
            Held("network", "the egress proxy alone", True),
            Held("other processes", "cannot be seen; its own all end with it", True),
            Held("keys and tokens", "none: the proxy adds the model's key to a request", True),
        ),
        Level.HOST: (
            Held("files it reads", _ANY, False),
            Held("files it writes", f"{_ANY}; the gates judge the worktree afterwards", False),
            Held("network", f"{_ANY}; the egress proxy is optional", False),
            Held("other processes", f"{_ANY}; a process that left its group goes on", False),
            Held("keys and tokens", "none in its environment, but it can read yours in files", False),
        ),
    }
)
