"""Compares desired with existing settings: pure functions."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from factory.gitlab.settings.model import Difference, MissingObject, Section, State, Tier, UnsupportedField


def fitted(section: Section, wanted: State, tier: Tier) -> tuple[State, tuple[UnsupportedField, ...]]:
    """Return the part of a section that a tier supports, and the unsupported fields."""
    if tier != "free":
        return wanted, ()
    if section.premium:
        lost = [
            UnsupportedField(section.name, key, field, value, section.substitute)
            for key, fields in wanted.items()
            for field, value in fields.items()
        ]
        return {}, tuple(lost)
    if section.fit is None:
        return wanted, ()
    fits = {key: section.fit(key, fields) for key, fields in wanted.items()}
    return {key: fields for key, (fields, _) in fits.items()}, tuple(
        item for _, found in fits.values() for item in found
    )


def differences(section: Section, wanted: State, found: State, *, enforce: bool) -> Iterator[Difference]:
    """Yield each field that differs; unnamed objects are ``extra`` only with ``enforce``."""
    name = section.name
    for key, fields in wanted.items():
        if key not in found:
            yield from (Difference(name, key, field, None, value, "missing") for field, value in fields.items())
            continue
        existing = found[key]
        for field, value in fields.items():
            comparable = field in existing or field not in section.unspecified
            if comparable and normal(existing.get(field)) != normal(value):
                yield Difference(name, key, field, existing.get(field), value, "differs")
    for key in unmanaged(wanted, found) if enforce else ():
        if not section.patterns or any(overlap(key, other) for other in wanted):
            yield from (Difference(name, key, field, value, None, "extra") for field, value in found[key].items())


def absent(section: Section, wanted: State, found: State) -> tuple[MissingObject, ...]:
    """Return the missing keys that an apply can't create, each with what creates it."""
    return tuple(
        MissingObject(section.name, key, maker)
        for key, fields in wanted.items()
        if key not in found and (maker := section.maker(fields))
    )


def unmanaged(wanted: State, found: State) -> list[str]:
    """Return the existing keys that the desired state does not name."""
    return [key for key in found if key not in wanted]


def overlap(one: str, other: str) -> bool:
    """Return whether some name matches both patterns; ``*`` matches any text."""

    @cache
    def both(i: int, j: int) -> bool:
        """Compare ``one`` from ``i`` with ``other`` from ``j``."""
        mine, theirs = one[i : i + 1], other[j : j + 1]
        if mine == "*":
            return both(i + 1, j) or (theirs != "" and both(i, j + 1))
        if theirs == "*":
            return both(i, j + 1) or (mine != "" and both(i + 1, j))
        return mine == theirs and (mine == "" or both(i + 1, j + 1))

    return both(0, 0)


def normal(value: Any) -> Any:
    """Return a value in a form for comparison: lists are sorted, empty values become ``None``."""
    if isinstance(value, Mapping):
        return {key: normal(item) for key, item in value.items() if normal(item) is not None} or None
    if isinstance(value, list | tuple):
        return sorted((normal(item) for item in value), key=repr) or None
    return None if value == "" else value
