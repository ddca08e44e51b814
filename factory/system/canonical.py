"""Canonical JSON and digests: equal values have equal bytes.

The form is RFC 8785 for the allowed values: objects with string keys, arrays, strings, booleans, null and integers.
Floats are refused, because JSON writers format them differently.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import NoReturn

# Types without parts. Verifying reads every value of a log, so these are not looked into.
_PLAIN = frozenset({str, int, bool, type(None)})


def encode(value: object) -> bytes:
    """Return the canonical UTF-8 bytes of a JSON value; raises ``TypeError`` for a float or a non-JSON type."""
    return (_SORTING.encode(value) if _is_plain(value) else _KEEPING.encode(_ordered(value))).encode()


def decode(data: bytes) -> object:
    """Return the JSON value of canonical bytes; raises ``ValueError`` for any other bytes.

    It parses and encodes again, but looks into no value: in ASCII bytes code points sort all keys, and the parser
    itself refuses floats.
    """
    value: object = _PARSER.decode(data.decode())
    again = _SORTING.encode(value).encode() if data.isascii() else encode(value)
    if again != data:
        raise ValueError("the bytes are not canonical JSON")
    return value


def digest(data: bytes) -> str:
    """Return ``sha256:<hex>`` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: object) -> str:
    """Return ``sha256:<hex>`` of a JSON value's canonical bytes."""
    return digest(encode(value))


def _is_plain(value: object) -> bool:
    """Return whether code points sort all keys as UTF-16 does (RFC 8785, 3.2.3); raises ``TypeError`` for a float."""
    if isinstance(value, float):
        raise TypeError(f"a float has no canonical JSON form: {value!r}")
    plain = True
    if isinstance(value, dict | Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a JSON key must be a string: {key!r}")
            plain = plain and key.isascii()
            if type(item) not in _PLAIN:
                plain = _is_plain(item) and plain
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _PLAIN:
                plain = _is_plain(item) and plain
    return plain


def _ordered(value: object) -> object:
    if isinstance(value, dict | Mapping):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        return {key: _ordered(item) for key, item in pairs}
    return [_ordered(item) for item in value] if isinstance(value, list | tuple) else value


def _foreign(value: object) -> object:
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a float has no canonical JSON form: {text}")


def _encoder(*, sort_keys: bool) -> json.JSONEncoder:
    return json.JSONEncoder(
        sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_foreign
    )


_SORTING, _KEEPING = _encoder(sort_keys=True), _encoder(sort_keys=False)
_PARSER = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)
