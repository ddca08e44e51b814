"""Attributes of Terraform's protocol 6 that the library ``tf`` lacks: nested attributes, and allowed values.

The library takes any object with these fields and methods as an attribute or a type.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf import types
from tf.gen import tfplugin_pb2 as wire

UNKNOWN = types.Unknown
TEXT, NUMBER, FLAG = types.String(), types.Number(), types.Bool()
TEXTS = types.List(types.String())


class Object:
    """An object with fixed attributes: a ``dict`` that always has every one of them, ``None`` where not set."""

    def __init__(self, attributes: Sequence["Attribute"]) -> None:
        self.attributes = tuple(attributes)

    def encode(self, value: Any) -> Any:
        """Return the wire form: every attribute is present."""
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


@dataclass(frozen=True)
class Attribute:
    """One attribute of a schema.

    ``allowed`` lists the values it may have; ``default`` is what a plan shows for a computed attribute that is not
    set; a change of a ``requires_replace`` attribute replaces the resource; the server changes a ``volatile``
    one with every update.
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
        """Return the attribute as protocol 6 writes it: nested where its type is an object or a list of objects."""
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


def forbidden(attributes: Sequence[Attribute], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and reason for each value of a configuration that its attribute does not allow."""
    for each in attributes:
        value = config.get(each.name)
        if each.allowed and isinstance(value, str) and value not in each.allowed:
            yield each.name, f"{value!r} is not one of {', '.join(each.allowed)}"


def _nested(kind: Any) -> tuple[Object | None, Any]:
    if isinstance(kind, Object):
        return kind, wire.Schema.Object.NestingMode.SINGLE
    element = getattr(kind, "element_type", None)
    return (element if isinstance(element, Object) else None), wire.Schema.Object.NestingMode.LIST
