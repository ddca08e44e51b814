"""The variables that a definition writes, and references to variables in its values."""

import re
from collections.abc import Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with ``$NAME`` and ``${NAME}`` replaced; unknown names become empty, ``$$`` becomes ``$``."""

    def value(match: "re.Match[str]") -> str:
        name = match.group(1) or match.group(2)
        return "$" if name is None else variables.get(name, "")

    return _REFERENCE.sub(value, text)


def defined(variables: Mapping[str, Any]) -> dict[str, str]:
    """Return a definition's variables with their values as text."""
    return {key: text_of(value) for key, value in variables.items()}


def text_of(value: Any) -> str:
    """Return a variable's value in a definition, where it is either the value itself or a mapping with ``value``."""
    return str(value.get("value", "") if isinstance(value, Mapping) else value)
