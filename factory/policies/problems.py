"""Reports problems in a YAML file: the file, the line, the key and a suggestion."""

import difflib
import enum
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from factory.errors import InvalidInput
from factory.system import strict_yaml
from factory.system.strict_yaml import Key, Marks

_Model = TypeVar("_Model", bound=BaseModel)
# What is wrong with a value, by pydantic's name of the error.
_EXPECTED: Mapping[str, str] = {
    "string_type": "is not a string; put it in quotes",
    "bool_type": "is neither true nor false",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "model_attributes_type": "is not a mapping",
}


@dataclass(frozen=True)
class Document:
    """A parsed file: its content as a mapping, and the line of each value."""

    path: str
    marks: Marks
    value: Mapping[str, Any]

    def problem(self, key: Key, message: str, *, at: Key | None = None) -> str:
        """Return ``path:line: key: message`` for a path of keys; the line is that of ``at``, by default of ``key``."""
        named = ".".join(str(part) for part in key)
        where = f"{self.path}:{self.marks.line(key if at is None else at)}"
        return f"{where}: {named}: {message}" if named else f"{where}: {message}"


def document(path: str, data: bytes) -> Document:
    """Return a file's document; raises ``InvalidInput`` with file and line if it is not one mapping in UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: the file is not UTF-8") from error
    value, marks = strict_yaml.load_marked(text, source=path)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{path}:1: expected a mapping with text keys")
    return Document(path, marks, value)


def parse(model: type[_Model], found: Document) -> tuple[_Model | None, list[str]]:
    """Return a document as a model, or ``None`` and all problems, unknown keys first."""
    try:
        return model.model_validate(found.value), []
    except ValidationError as error:
        # For a list with invalid items pydantic also reports that the list is too short.
        real = [item for item in error.errors() if item["type"] != "too_short" or not item["input"]]
        items = sorted(real, key=lambda item: item["type"] != "extra_forbidden")
        return None, [_problem(model, found, item) for item in items]


def nearest(text: object, names: Iterable[str]) -> str:
    """Return ``; did you mean …?`` with the name that is most similar to the text, else a list of the names."""
    known = list(names)
    close = difflib.get_close_matches(str(text).lower(), known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; use one of {', '.join(known)}" if known else ""


def _problem(model: type[BaseModel], found: Document, item: Any) -> str:
    key: Key = tuple(part for part in item["loc"] if part != "[key]")
    around, last = key[:-1], str(key[-1]) if key else ""
    given = _shown(item["input"])
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return found.problem(key, f"no such key{_known(model, around, last)}")
    if kind == "missing":
        return found.problem(key, f"the key is missing{_limits(model, key)}", at=around)
    if kind in {"literal_error", "enum"}:
        names = _choices(_annotation(model, key))
        return found.problem(key, f"{given} is not one of {', '.join(names)}{_meant(item['input'], names)}")
    if kind in _EXPECTED:
        quoted = "; write it without quotes" if kind in {"int_type", "float_type", "bool_type"} else ""
        message = f"{given} {_EXPECTED[kind]}{quoted if isinstance(item['input'], str) else ''}"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        low = "ge" in context
        limit = context["ge" if low else "le"]
        message = f"{given} is out of range; the {'minimum' if low else 'maximum'} is {limit}"
    elif kind == "too_short":
        message = "give at least one entry"
    elif kind == "string_too_short":
        message = f"{given} is too short; give at least {context['min_length']} characters"
    elif kind == "string_pattern_mismatch":
        message = f"{given} does not match the pattern {context['pattern']}"
    elif kind == "value_error":
        message = str(context["error"])
    else:
        message = f"{given}: {item['msg']}"
    return found.problem(key, message)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - fits in one line with the rest of the message


def _meant(value: object, names: list[str]) -> str:
    close = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.0)
    return f"; did you mean {close[0]}?" if close else ""


def _known(model: type[BaseModel], around: Key, name: str) -> str:
    inside = _annotation(model, around)
    return nearest(name, inside.model_fields) if isinstance(inside, type) and issubclass(inside, BaseModel) else ""


def _limits(model: type[BaseModel], key: Key) -> str:
    names = _choices(_annotation(model, key))
    return f"; use one of {', '.join(names)}" if names else ""


def _annotation(model: type[BaseModel], key: Key) -> Any:
    """Return the type of the value at a path of keys, or ``None`` if the model has no such key."""
    found: Any = model
    for part in key:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(part))
            found = field.annotation if field else None
        elif get_origin(found) is dict:
            found = get_args(found)[1]
        else:
            found = next(iter(get_args(found)), None)
        found = _bare(found)
    return found


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) in {Annotated, Union, types.UnionType}:
        annotation = get_args(annotation)[0]
    return annotation


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(item) for item in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(item.value) for item in annotation]
    return []
