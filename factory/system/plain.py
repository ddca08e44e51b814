"""Builds frozen dataclasses from the JSON values that ``dataclasses.asdict`` returned for them."""

import types
import typing
from dataclasses import is_dataclass
from typing import Any

from factory.errors import InvalidInput


def build(kind: Any, value: Any, *, source: str) -> Any:
    """Return a value of a type (a dataclass, tuple, optional or plain type).

    Raises ``InvalidInput`` naming ``source`` if a field is missing or unknown.
    """
    try:
        return _build(kind, value)
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{source} was not written by `factory gate check`: {error}") from error


def _build(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        known = next(item for item in arguments if item is not type(None))
        return None if value is None and type(None) in arguments else _build(known, value)
    if origin is tuple:
        return _tuple(arguments, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _dataclass(kind: type, value: Any) -> Any:
    hints = typing.get_type_hints(kind)
    names = {name for name in hints if not name.startswith("__")}
    if not isinstance(value, dict) or set(value) != names:
        raise TypeError(f"{kind.__name__} must have exactly the fields {', '.join(sorted(names))}")
    return kind(**{name: _build(hints[name], value[name]) for name in names})


def _tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("expected a list")
    if Ellipsis in kinds:
        return tuple(_build(kinds[0], item) for item in value)
    return tuple(_build(kind, item) for kind, item in zip(kinds, value, strict=True))
