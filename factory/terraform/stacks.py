"""Lists the stacks, sorts them by dependency and decides which of them a change affects."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from factory.errors import InvalidInput
from factory.terraform.source_check import Source

LIVE = "terraform/live"
# Files that affect every stack.
_SHARED = ("policies/terraform.yml", "policies/environments.yml")


def present(tree: Path) -> tuple[str, ...]:
    """Return the names of the roots in a checkout, sorted."""
    place = tree / LIVE
    return tuple(sorted(path.name for path in place.iterdir() if path.is_dir())) if place.is_dir() else ()


def ordered(after: Mapping[str, Sequence[str]], requested: Iterable[str]) -> tuple[str, ...]:
    """Return the requested stacks in dependency order; raises ``InvalidInput`` for an unknown stack."""
    names = set(requested)
    if unknown := sorted(names - set(after)):
        raise InvalidInput(
            f"the stack {unknown[0]!r} is not in policies/terraform.yml",
            hint="A person must list the stack there or remove its folder.",
        )
    return tuple(name for name in TopologicalSorter(after).static_order() if name in names)


def touched(source: Source, apps: Iterable[str], paths: Sequence[str]) -> bool:
    """Return whether changed paths affect a stack: its folders, its modules, its apps or the shared policies."""
    folders = (*source.folders, *(f"apps/{app}" for app in apps))
    return any(path in _SHARED or path.startswith(tuple(f"{folder}/" for folder in folders)) for path in paths)
