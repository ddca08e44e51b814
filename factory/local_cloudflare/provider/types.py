"""Adds what the library ``tf`` lacks of Terraform's protocol 6: nested attributes, dynamic types, allowed values.

The library accepts any object with these fields and methods as an attribute or a type.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf import types
from tf.gen import tfplugin_pb2 as wire

UNKNOWN = types.Unknown
TEXT, NUMBER, FLAG = types.String(), types.Number(), types.Bool()
TEXTS, TEXT_SET = types.List(types.String()), types.Set(types.String())


class Object:
    """An object type with fixed attributes: a ``dict`` that always has all of them, ``None`` for unset ones."""

    def __init__(self, attributes: Sequence["Attribute"]) -> None:
        self.attributes = tuple(attributes)

    def encode(self, value: Any) -> Any:
        """Return the wire form, with every attribute."""
        return self._each(value, "encode")

    def decode(self, value: Any) -> Any:
        """Return the Python form of a wire value."""
        return self._each(value, "decode")

    def semantically_equal(self, one: Any, other: Any) -> bool:
        """Compare two Python values."""
        return bool(one == other)

    def tf_type(self) -> bytes:
        """Return the type as Terraform's JSON."""
        return json.dumps(["object", {each.name: json.loads(each.type.tf_type()) for each in self.attributes}]).encode()

    def _each(self, value: Any, direction: str) -> Any:
        if value is None or value is UNKNOWN:
            return value
        shown = {each.name: (each.type, value.get(each.name)) for each in self.attributes}
        return {
            name: item if item is None or item is UNKNOWN else getattr(kind, direction)(item)
            for name, (kind, item) in shown.items()
        }


class Dynamic:
    """A value of any type, such as the ``value`` of a zone setting: text, a number, a flag, a list or an object.

    The wire form is a pair: the type as Terraform's JSON, and the value in that type.
    """

    def encode(self, value: Any) -> Any:
        """Return the wire form."""
        return [json.dumps(_type_of(value)).encode(), value]

    def decode(self, value: Any) -> Any:
        """Return the Python form of a wire value."""
        return value if value is None or value is UNKNOWN else value[1]

    def semantically_equal(self, one: Any, other: Any) -> bool:
        """Compare two Python values."""
        return type(one) is type(other) and bool(one == other)

    def tf_type(self) -> bytes:
        """Return the type as Terraform's JSON."""
        return b'"dynamic"'

    def from_state(self, value: Any) -> Any:
        """Return the wire form of a value in a state file, which is an object with ``type`` and ``value``."""
        return None if value is None else [json.dumps(value["type"]).encode(), value["value"]]


@dataclass(frozen=True)
class Attribute:
    """One attribute of a schema.

    ``allowed`` lists the allowed values. ``default`` is the planned value of a computed attribute that is not set. A
    change of a ``requires_replace`` attribute replaces the resource. The server changes a ``volatile`` attribute with
    every update.
    """

    name: str
    type: Any = TEXT
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    requires_replace: bool = False
    volatile: bool = False
    default: Any = UNKNOWN
    allowed: tuple[str, ...] = ()

    def to_pb(self) -> Any:
        """Return the attribute in protocol 6's form, which is nested if its type contains objects."""
        flags = {
            "required": self.required,
            "optional": self.optional,
            "computed": self.computed,
            "sensitive": self.sensitive,
        }
        nested, mode = _nested(self.type)
        if nested is None:
            return wire.Schema.Attribute(name=self.name, type=self.type.tf_type(), **flags)
        inner = wire.Schema.Object(attributes=[each.to_pb() for each in nested.attributes], nesting=mode)
        return wire.Schema.Attribute(name=self.name, nested_type=inner, **flags)


def objects(*attributes: Attribute) -> Any:
    """Return the type of a list of objects."""
    return types.List(Object(attributes))


def object_set(*attributes: Attribute) -> Any:
    """Return the type of a set of objects, which is a list in Python; its order does not matter."""
    return types.Set(Object(attributes))


def is_set(kind: Any) -> bool:
    """Return whether a type is a set."""
    return isinstance(kind, types.Set)


def forbidden(attributes: Sequence[Attribute], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and reason for each configured value that its attribute does not allow."""
    for each in attributes:
        value = config.get(each.name)
        if each.allowed and isinstance(value, str) and value not in each.allowed:
            yield each.name, f"{value!r} is not one of {', '.join(each.allowed)}"


def _nested(kind: Any) -> tuple[Object | None, Any]:
    if isinstance(kind, Object):
        return kind, wire.Schema.Object.NestingMode.SINGLE
    element = getattr(kind, "element_type", None)
    modes = wire.Schema.Object.NestingMode
    return (element if isinstance(element, Object) else None), modes.SET if is_set(kind) else modes.LIST


def _type_of(value: Any) -> Any:
    """Return the type of a Python value as Terraform's JSON."""
    if isinstance(value, dict):
        return ["object", {key: _type_of(item) for key, item in value.items()}]
    if isinstance(value, list):
        return ["tuple", [_type_of(item) for item in value]]
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "string"
