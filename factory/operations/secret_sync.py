"""Copies secrets to CI variables, for a GitLab whose runners don't reach OpenBao; knows which copy is which version.

A value is never read back from GitLab. That a copy is the newest is known by a fingerprint of it: a digest under a key
of this machine, from which nobody can guess the value.
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
    """What was done with one secret: ``written``, ``as it was``, ``would be written``, or ``refused`` and why."""

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
    """Write each secret that changed to its CI variable; one that is refused leaves the others to be written."""
    known = {(item.key, item.scope): item for item in variables.find(connection)}
    done = []
    for place, environment in wanted:
        try:
            found = provider.get(place)
        except NotFound as error:
            done.append(CopyResult(place.name, environment, place.variable, "refused", reason=str(error)))
            continue
        scope = environment or "*"
        there = known.get((place.variable, scope))
        mark = fingerprint(store, found.value)
        kept = store.read("synced").get(place.path, {})
        same = (
            there is not None
            and there.protected is place.protected
            and there.masked
            and kept.get("fingerprint") == mark
        )
        state, hidden, reason = "as it was", bool(there and there.hidden), ""
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
    """Return which CI variable is known to hold a secret, in which version; empty where none is."""
    found: dict[str, Any] = store.read("synced").get(place.path, {})
    return {name: value for name, value in found.items() if name != "fingerprint"}


def fingerprint(store: Store, value: Secret) -> str:
    """Return what tells two values apart and tells nothing of either."""
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
