"""The variables that a definition writes, and references to variables in its values."""

import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
# docs: Jobs, group similar jobs together. `a 1/2`, `a 1 2` and `a: [b, c]` are of the group `a`.
_NUMBERED = re.compile(r"(?:[\s:]+(?:\[.*\]|\d+[\s:/\\]+\d+)){1,3}\s*\Z")
_LONGEST_NAME, _LONGEST_SLUG, _SUFFIX, _DIGITS = 255, 24, 6, "0123456789abcdefghijklmnopqrstuvwxyz"
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


def slug(text: str) -> str:
    """Return a text as a part of a host's name (docs: Predefined CI/CD variables reference, `CI_COMMIT_REF_SLUG`)."""
    return re.sub(r"[^a-z0-9]", "-", text.lower())[:63].strip("-")


def environment_slug(name: str) -> str:
    """Return the slug of an environment: it starts with a letter, and is the name's own (gitlab-org/gitlab#20941)."""
    text = re.sub(r"[^a-z0-9]", "-", name.lower())
    text = re.sub("-+", "-", text if re.match("[a-z]", text) else f"env-{text}")
    if text == name and len(text) <= _LONGEST_SLUG:
        return text.removesuffix("-")
    number, suffix = int.from_bytes(sha256(name.encode()).digest()), ""
    while len(suffix) < _SUFFIX:
        number, digit = divmod(number, len(_DIGITS))
        suffix = _DIGITS[digit] + suffix
    return f"{text[: _LONGEST_SLUG - _SUFFIX - 1].removesuffix('-')}-{suffix}"


def named(name: str, stage: str) -> dict[str, str]:
    """Return the predefined variables that a job's name and stage give; its rules see them."""
    return {
        "CI_JOB_NAME": name,
        "CI_JOB_NAME_SLUG": slug(name),
        "CI_JOB_GROUP_NAME": _NUMBERED.sub("", name[:_LONGEST_NAME]).strip(),
        "CI_JOB_STAGE": stage,
        "CI_NODE_TOTAL": "1",
    }


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
