"""The one way to read data that code wrote: JSON as frozen dataclasses, checked field by field (pydantic, strict)."""

import functools
import json
from dataclasses import asdict
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from factory.errors import InvalidInput

Form = TypeVar("Form")


def read(form: type[Form], data: bytes | str, *, source: str) -> Form:
    """Return what ``write`` wrote: a dataclass, or a tuple of them.

    Raises ``InvalidInput`` naming ``source`` and the field for anything that ``write`` would not write.
    """
    raw = data.encode() if isinstance(data, str) else data
    try:
        value: Form = _adapter(cast("Any", form)).validate_json(b"[" + raw + b"]")[0]
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidInput(f"{source}: {field or 'the whole value'}: {first['msg']}") from error
    if json.loads(raw) != json.loads(write(value)):
        raise InvalidInput(f"{source}: fields are missing")
    return value


def write(value: object) -> bytes:
    """Return the JSON of a dataclass, or of a tuple of them, which ``read`` reads."""
    return json.dumps(value, indent=1, default=_fields).encode()


def _fields(value: Any) -> dict[str, object]:
    return asdict(value)


@functools.cache
def _adapter(form: Any) -> Any:
    """Return what reads a tuple of one value: only there does the configuration reach a dataclass of the library's."""
    return TypeAdapter(tuple[form], config=ConfigDict(extra="forbid", strict=True))
