"""Writes secrets as CI variables: masked, hidden, and protected unless merge requests need them.

Never reads their values back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factory.errors import InvalidInput
from factory.gitlab.connect import Connection, translated
from factory.model.secret import Secret

_SHORTEST, _LONGEST = 8, 10_000


@dataclass(frozen=True)
class Variable:
    """A CI variable without its value; ``scope`` is its environment, ``*`` means all."""

    key: str
    scope: str
    protected: bool
    masked: bool
    hidden: bool


def find(connection: Connection) -> list[Variable]:
    """Return the project's CI variables."""
    with translated("list the CI variables"):
        found = connection.project.variables.list(get_all=True)
    return [_read(item.attributes) for item in found]


def unmaskable(value: Secret, taken: Sequence[str] = ()) -> str | None:
    """Return why GitLab can't mask a value, or ``None`` if it can (GitLab docs: Mask a CI/CD variable).

    ``taken`` are the names of variables: a masked value must not equal one of them.
    """
    text = value.reveal()
    if len(text) < _SHORTEST:
        return f"it has fewer than {_SHORTEST} characters"
    if len(text) > _LONGEST:
        return f"it has more than {_LONGEST} characters"
    if text in taken:
        return "it is the name of a variable"
    if len(text.splitlines()) > 1 or any(letter.isspace() for letter in text):
        return "it has spaces or more than one line"
    return None


def put(connection: Connection, key: str, value: Secret, *, scope: str = "*", protected: bool = True) -> Variable:
    """Write a variable, masked and raw; a new one is also hidden, so that nobody can read its value.

    Raises ``InvalidInput`` if GitLab can't mask the value.
    """
    known = find(connection)
    reason = unmaskable(value, [item.key for item in known])
    if reason:
        raise InvalidInput(
            f"the value for the CI variable {key} can't be masked in logs: {reason}",
            hint="Generate a value with `factory secrets rotate --generate`, or let jobs read it from OpenBao.",
        )
    body = {
        "value": value.reveal(),
        "protected": protected,
        "masked": True,
        "raw": True,
        "environment_scope": scope,
        "variable_type": "env_var",
    }
    exists = any((item.key, item.scope) == (key, scope) for item in known)
    with translated(f"write the CI variable {key}"):
        if exists:
            path = f"{connection.api}/variables/{key}"
            query = {"filter[environment_scope]": scope}
            answer: Any = connection.client.http_put(path, query_data=query, post_data=body)
            return _read(answer)
        created = connection.project.variables.create({**body, "key": key, "masked_and_hidden": True})
        return _read(created.attributes)


def _read(item: Any) -> Variable:
    return Variable(
        item["key"],
        item.get("environment_scope", "*"),
        item["protected"],
        item["masked"],
        bool(item.get("hidden")),
    )
