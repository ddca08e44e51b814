"""Reads and writes CI variables; values are compared and shown only as fingerprints.

The key of a variable for one environment is ``NAME environment``. `factory secrets sync` creates those of secrets.
"""

import hashlib
from typing import Any, Self

from factory.gitlab.connect import translated
from factory.gitlab.settings.model import Fields, Section, Server, State

_SHOWN = 12
# Shown instead of a secret's value.
HIDDEN = "masked"
_SYNC = "factory secrets sync"


class Fingerprint(str):
    """The first digits of a value's SHA-256; ``text`` is the value itself, for writing it."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Return the fingerprint of a text."""
        fingerprint = super().__new__(cls, "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:_SHOWN])
        fingerprint.text = text
        return fingerprint

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself, because it is immutable."""
        return self


def _read(server: Server) -> State:
    with translated("list the CI variables"):
        listed: Any = server.connection.client.http_list(
            f"{server.connection.api}/variables", get_all=True, query_data={"per_page": 100}
        )
    found = {}
    for item in listed:
        scope = item.get("environment_scope", "*")
        secret = item["masked"] or item.get("hidden") or item["value"] is None
        found[item["key"] + ("" if scope == "*" else f" {scope}")] = {
            "value": HIDDEN if secret else Fingerprint(item["value"]),
            "protected": item["protected"],
            "raw": item["raw"],
        }
    return found


def _write(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    name, _, scope = key.partition(" ")
    client, api = server.connection.client, f"{server.connection.api}/variables"
    value = wanted["value"]
    body: dict[str, Any] = {**wanted, "masked": value == HIDDEN}
    if isinstance(value, Fingerprint):
        body["value"] = value.text
    else:
        del body["value"]
    with translated(f"write the CI variable {name}"):
        if found is None:
            client.http_post(api, post_data={**body, "key": name, "environment_scope": scope or "*"})
        else:
            client.http_put(f"{api}/{name}", query_data=_filter(scope), post_data=body)


def _drop(server: Server, key: str, found: Fields) -> None:
    del found
    name, _, scope = key.partition(" ")
    with translated(f"remove the CI variable {name}"):
        server.connection.client.http_delete(f"{server.connection.api}/variables/{name}", query_data=_filter(scope))


def _filter(scope: str) -> dict[str, str]:
    return {"filter[environment_scope]": scope or "*"}


VARIABLES = Section("variables", _read, _write, _drop, maker=lambda wanted: _SYNC if wanted["value"] == HIDDEN else "")
