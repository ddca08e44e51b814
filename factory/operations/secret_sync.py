"""Copies secrets to CI variables, for a GitLab whose runners cannot reach OpenBao, and records the copied versions.

Values are never read back from GitLab. A fingerprint shows whether a copy is current: a digest with a key of this
machine, from which the value cannot be guessed.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factory.errors import FactoryError, NotFound
from factory.gitlab import variables
from factory.gitlab.connect import Connection
from factory.model.secret import Secret, SecretLocation
from factory.operations.secret_store import Store
from factory.secrets.providers import Provider
from factory.system import clock, files


@dataclass(frozen=True)
class CopyResult:
    """The result for one secret: ``written``, ``as it was``, ``would be written``, or ``refused`` with a reason."""

    name: str
    environment: str
    variable: str
    state: str
    version: int = 0
    hidden: bool = False
    reason: str = ""


def sync(
    store: Store,
    provider: Provider,
    connection: Connection,
    wanted: Sequence[tuple[SecretLocation, str]],
    *,
    dry: bool = False,
) -> list[CopyResult]:
    """Write each changed secret to its CI variable; a refused secret does not stop the others."""
    known = {(item.key, item.scope): item for item in variables.find(connection)}
    done = []
    for place, environment in wanted:
        try:
            found = provider.get(place)
        except NotFound as error:
            done.append(CopyResult(place.name, environment, place.variable, "refused", reason=str(error)))
            continue
        scope = environment or "*"
        current = known.get((place.variable, scope))
        mark = fingerprint(store, found.value)
        kept = store.read("synced").get(place.path, {})
        same = (
            current is not None
            and current.protected is place.protected
            and current.masked
            and kept.get("fingerprint") == mark
        )
        state, hidden, reason = "as it was", bool(current and current.hidden), ""
        if not same and dry:
            state, reason = (
                "would be written",
                variables.unmaskable(found.value, [item.key for item in known.values()]) or "",
            )
        elif not same:
            try:
                hidden = variables.put(
                    connection, place.variable, found.value, scope=scope, protected=place.protected
                ).hidden
            except FactoryError as error:
                state, reason = "refused", str(error)
            else:
                state = "written"
                _remember(store, place, scope, found.version, mark)
        done.append(CopyResult(place.name, environment, place.variable, state, found.version, hidden, reason))
    return done


def holders(store: Store, place: SecretLocation) -> dict[str, Any]:
    """Return the CI variable that holds a copy of a secret, with its version; empty if no copy is recorded."""
    found: dict[str, Any] = store.read("synced").get(place.path, {})
    return {name: value for name, value in found.items() if name != "fingerprint"}


def fingerprint(store: Store, value: Secret) -> str:
    """Return a keyed digest that is equal only for equal values and does not reveal the value."""
    path = store.folder / "fingerprint.key"
    if not path.exists():
        files.private_folder(path.parent)
        files.write_atomic(path, secrets.token_bytes(32), mode=0o600)
    return hmac.digest(files.read_bytes(path), value.reveal().encode(), "sha256").hex()


def _remember(store: Store, place: SecretLocation, scope: str, version: int, mark: str) -> None:
    kept = {
        "variable": place.variable,
        "scope": scope,
        "version": version,
        "at": clock.timestamp(),
        "fingerprint": mark,
    }
    store.keep("synced", store.read("synced") | {place.path: kept})
