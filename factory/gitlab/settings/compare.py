"""Compares settings: pure functions from what shall be and what is to what differs."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from factory.gitlab.settings.model import Difference, MissingObject, Section, State, Tier, UnsupportedField


def fitted(section: Section, wanted: State, tier: Tier) -> tuple[State, tuple[UnsupportedField, ...]]:
    """Return what a tier can hold of a section, and what it can't."""
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
    """Yield each field that differs; what is there and not wanted is ``extra`` only where ``enforce`` says so."""
    name = section.name
    for key, fields in wanted.items():
        if key not in found:
            yield from (Difference(name, key, field, None, value, "missing") for field, value in fields.items())
            continue
        there = found[key]
        for field, value in fields.items():
            told = field in there or field not in section.unspecified
            if told and normal(there.get(field)) != normal(value):
                yield Difference(name, key, field, there.get(field), value, "differs")
    for key in unmanaged(wanted, found) if enforce else ():
        if not section.patterns or any(overlap(key, other) for other in wanted):
            yield from (Difference(name, key, field, value, None, "extra") for field, value in found[key].items())


def absent(section: Section, wanted: State, found: State) -> tuple[MissingObject, ...]:
    """Return the keys that are not there and that an apply can't make, each with what does."""
    return tuple(
        MissingObject(section.name, key, maker)
        for key, fields in wanted.items()
        if key not in found and (maker := section.maker(fields))
    )


def unmanaged(wanted: State, found: State) -> list[str]:
    """Return the keys that are there and that nobody asked for."""
    return [key for key in found if key not in wanted]


def overlap(one: str, other: str) -> bool:
    """Tell whether there is a name that both cover; a star stands for any text."""

    @cache
    def both(at: int, there: int) -> bool:
        """Tell it of what is left of each."""
        mine, theirs = one[at : at + 1], other[there : there + 1]
        if mine == "*":
            return both(at + 1, there) or (theirs != "" and both(at, there + 1))
        if theirs == "*":
            return both(at, there + 1) or (mine != "" and both(at + 1, there))
        return mine == theirs and (mine == "" or both(at + 1, there + 1))

    return both(0, 0)


def normal(value: Any) -> Any:
    """Return a value so that two that mean the same are equal: no order of lists, nothing empty apart from nothing."""
    if isinstance(value, Mapping):
        return {key: normal(item) for key, item in value.items() if normal(item) is not None} or None
    if isinstance(value, list | tuple):
        return sorted((normal(item) for item in value), key=repr) or None
    return None if value == "" else value
