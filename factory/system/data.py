"""The one way to read JSON as frozen dataclasses, checked field by field (pydantic, strict).

``read`` is for what code wrote, ``parse`` for what a person or another program may have written.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema

from factory.errors import InvalidInput

__all__ = [
    "AfterValidator",
    "Count",
    "Field",
    "Named",
    "PlainValidator",
    "WithJsonSchema",
    "parse",
    "pick",
    "read",
    "schema",
    "write",
]

Form = TypeVar("Form")
# Types of fields: a text that is not blank, and a whole number of at least 0.
Named = Annotated[str, Field(pattern=r"\S")]
Count = Annotated[int, Field(ge=0)]
# What is wrong with a value, by pydantic's name of the error; anything else is said in pydantic's words.
_PROBLEMS: Mapping[str, str] = {
    "missing": "is missing",
    "string_type": "expected a text",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "tuple_type": "expected a list",
    "too_short": "must not be empty",
    "dataclass_type": "expected an object",
}


def read(form: type[Form], data: bytes | str, *, source: str) -> Form:
    """Return what ``write`` wrote: a dataclass, or a tuple of them.

    Raises ``InvalidInput`` naming ``source`` and the field for anything that ``write`` would not write.
    """
    raw = data.encode() if isinstance(data, str) else data
    value = _validated(form, raw, source)
    if json.loads(raw) != json.loads(write(value)):
        raise InvalidInput(f"{source}: fields are missing")
    return value


def parse(form: type[Form], data: bytes, *, source: str) -> Form:
    """Return a dataclass from JSON in which fields with a default may be absent.

    Raises ``InvalidInput`` naming ``source`` and the field, also for an unknown field and one that is there twice.
    """
    try:
        json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: {error}") from error
    return _validated(form, data, source)


def pick(form: type[Form], data: bytes, *, source: str) -> Form:
    """Return a dataclass from JSON of another program, whose other fields are left out.

    Raises ``InvalidInput`` naming ``source`` and the field.
    """
    return _validated(form, data, source, extra="ignore")


def write(value: object) -> bytes:
    """Return the JSON of a dataclass, or of a tuple of them, which ``read`` reads."""
    return json.dumps(value, indent=1, default=_fields).encode()


def schema(form: type[object], *, title: str, description: str) -> Mapping[str, object]:
    """Return the JSON Schema (draft 2020-12) of what ``parse`` accepts as a dataclass."""
    found: Mapping[str, object] = _adapter(cast("Any", form)).json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "$ref": f"#/$defs/{form.__name__}",
        "$defs": found["$defs"],
    }


def _validated(form: type[Form], raw: bytes, source: str, *, extra: Literal["forbid", "ignore"] = "forbid") -> Form:
    try:
        value: Form = _adapter(cast("Any", form), extra).validate_json(b"[" + raw + b"]")[0]
    except ValidationError as error:
        # An unknown field often is a missing one in other letters, so it is named first.
        found = min(error.errors(), key=lambda item: item["type"] != "unexpected_keyword_argument")
        raise InvalidInput(f"{source}: {_problem(found)}") from error
    return value


def _problem(error: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in error["loc"][1:])
    kind, message = error["type"], error["msg"]
    if kind == "unexpected_keyword_argument":
        message = "unknown key"
    elif kind == "value_error":
        message = str(error["ctx"]["error"])
    return f"{field or 'the whole value'}: {_PROBLEMS.get(kind, message)}"


def _unique(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return found


def _fields(value: Any) -> dict[str, object]:
    return asdict(value)


@functools.cache
def _adapter(form: Any, extra: Literal["forbid", "ignore"] = "forbid") -> Any:
    """Return what reads a tuple of one value: only there does the configuration reach a dataclass of the library's."""
    return TypeAdapter(tuple[form], config=ConfigDict(extra=extra, strict=True))
