"""The variables that a definition writes, and references to variables in its values."""

import re
from collections.abc import Collection, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
# Variables may name others in turn, so that a few lines could grow without end.
_DEEPEST, _LONGEST = 50, 2**16


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with ``$NAME`` and ``${NAME}`` replaced; unknown names become empty, ``$$`` becomes ``$``."""

    def value(match: "re.Match[str]") -> str:
        name = match.group(1) or match.group(2)
        return "$" if name is None else variables.get(name, "")

    return _REFERENCE.sub(value, text)


def expanded(own: Mapping[str, str], known: Mapping[str, str], *, raw: Collection[str] = ()) -> dict[str, str]:
    """Return variables with the references in their values replaced by each other, however deep, and by ``known``.

    Variables in ``raw`` keep their values as written (docs: variables:expand). A variable that names itself, also
    through others, has its value of ``known`` there, or none. A value of more than 64 KiB stays as written.
    """
    done: dict[str, str] = {}

    def value(name: str, above: frozenset[str]) -> str:
        if name in done:
            return done[name]
        if name not in own or name in above or len(above) > _DEEPEST:
            return known.get(name, "")
        text = own[name]
        if name not in raw:
            names = {match.group(1) or match.group(2) for match in _REFERENCE.finditer(text)} - {None}
            text = substitute(text, {other: value(other, above | {name}) for other in names})
        done[name] = text if len(text) <= _LONGEST else own[name]
        return done[name]

    return {name: value(name, frozenset()) for name in own}


def defined(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return a definition's variables with their values as text."""
    return {key: text_of(value) for key, value in variables.items()}


def unexpanded(variables: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of a definition's variables in which references stay as written."""
    return frozenset(key for key, value in variables.items() if is_raw(value))


def is_raw(value: Any) -> bool:
    """Return whether references in a variable of a definition stay as written."""
    return isinstance(value, Mapping) and value.get("expand") is False


def text_of(value: Any) -> str:
    """Return a variable's value in a definition, where it is either the value itself or a mapping with ``value``."""
    return str(value.get("value", "") if isinstance(value, Mapping) else value)
