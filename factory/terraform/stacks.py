"""Which stacks there are, in which order, and which of them a change touches."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from factory.errors import InvalidInput
from factory.terraform.screen import Source

LIVE = "terraform/live"
# What every stack follows from, beside its own folders: what may be planned, and where.
_SHARED = ("policies/terraform.yml", "policies/environments.yml")


def present(tree: Path) -> tuple[str, ...]:
    """Return the names of the roots in a checkout, sorted."""
    place = tree / LIVE
    return tuple(sorted(path.name for path in place.iterdir() if path.is_dir())) if place.is_dir() else ()


def ordered(after: Mapping[str, Sequence[str]], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the wanted stacks, each behind those that it comes after; raises ``InvalidInput`` for an unknown one."""
    names = set(wanted)
    if unknown := sorted(names - set(after)):
        raise InvalidInput(
            f"the stack {unknown[0]!r} is not in policies/terraform.yml",
            hint="A person lists it there, or removes its folder.",
        )
    return tuple(name for name in TopologicalSorter(after).static_order() if name in names)


def touched(source: Source, apps: Iterable[str], paths: Sequence[str]) -> bool:
    """Tell whether changed paths bear on a stack: its folders and modules, the apps it carries, or its policies."""
    folders = (*source.folders, *(f"apps/{app}" for app in apps))
    return any(path in _SHARED or path.startswith(tuple(f"{folder}/" for folder in folders)) for path in paths)
