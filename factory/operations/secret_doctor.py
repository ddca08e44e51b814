"""Runs the checks of ``factory secrets doctor``: server, login, leases, bindings, file modes and secrets' ages."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from factory.errors import FactoryError, NotFound
from factory.model.diagnosis import Diagnosis
from factory.operations.secret_store import Store
from factory.secrets import lease, setup
from factory.secrets.openbao import OpenBao
from factory.secrets.providers import Provider
from factory.system import clock

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PROJECT, _BRANCH = ("project_id", "project_path"), ("ref", "ref_type", "ref_protected")


def findings(store: Store) -> list[Diagnosis]:
    """Return the result of every check; checks that need an unreachable server are left out."""
    policy = store.policies.secrets
    found = [Diagnosis("provider", "ok", policy.provider), *_modes(store)]
    try:
        with store.opened() as provider:
            if isinstance(provider, OpenBao):
                found += _server(provider)
                found += _bindings(provider, sorted(store.policies.environments.environments), policy.audience)
            else:
                provider.names()  # an unreadable file is one finding, not one for each secret
            found += _secrets(store, provider)
    except FactoryError as error:
        found.append(Diagnosis(f"{policy.provider} opens", "fix", str(error), error.hint))
    return found


def _modes(store: Store) -> Iterator[Diagnosis]:
    """Check that only the owner can read the private files."""
    paths = [store.key, *(path for path in _below(store.folder) if path.suffix not in {".lock", ".log"})]
    open_to_all = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & _OTHERS]
    for path in open_to_all:
        yield Diagnosis(
            "file mode", "fix", f"others can read {path}", f"chmod go-rwx {path}; rotate the secrets that it protects"
        )
    if not open_to_all:
        yield Diagnosis("file modes", "ok", "all private")


def _below(folder: Path) -> list[Path]:
    """Return a folder, its files, and the files of the local server's folder."""
    if not folder.is_dir():
        return []
    return [folder, *folder.iterdir(), *((folder / "openbao").iterdir() if (folder / "openbao").is_dir() else ())]


def _server(made: OpenBao) -> Iterator[Diagnosis]:
    health = made.health()
    state = "ok" if health.active else "fix"
    yield Diagnosis(
        "server", state, f"{made.address}, version {health.version}, {'active' if health.active else 'not active'}"
    )
    token = made.lookup()
    policies = ", ".join(name for name in token["policies"] if name != "default")
    expiry = f"expires in {token['ttl']} s" if token["ttl"] else "never expires"
    fix = "" if token["ttl"] else "replace the token that never expires: `factory secrets login`"
    yield Diagnosis("login", "ok" if token["ttl"] else "fix", f"{policies}, {expiry}", fix)


def _bindings(made: OpenBao, environments: list[str], audience: str) -> Iterator[Diagnosis]:
    """Check the bound claims and the lease times of each role for id tokens."""
    try:
        roles = setup.bindings(made, environments)
    except FactoryError as error:
        yield Diagnosis("bindings", "unknown", str(error), "log in as the server's operator", required=False)
        return
    if not roles:
        yield Diagnosis(
            "bindings",
            "missing",
            "no role accepts id tokens",
            "`factory secrets init`, with GitLab running",
            required=False,
        )
    for name, role in roles.items():
        wrong = list(_unbound(name, role, audience))
        claims: Any = role["claims"]
        shown = ", ".join(f"{key}={claims[key]}" for key in ("project_path", "ref", "environment") if key in claims)
        detail = f"{shown}; lease {role['lease']} s, maximum {role['longest']} s"
        yield Diagnosis(f"role {name}", "fix" if wrong else "ok", detail, "; ".join(wrong))


def _unbound(name: str, role: Mapping[str, Any], audience: str) -> Iterator[str]:
    """Yield the fix for each missing or wrong restriction of a role."""
    claims = role["claims"] or {}
    missing = [claim for claim in _wanted(name) if not claims.get(claim)]
    if missing:
        yield f"bind {', '.join(missing)}"
    if claims.get("ref_protected") not in (None, "true"):
        yield "bind ref_protected to true"
    if "environment" in claims and name != lease.role(str(claims["environment"])):
        yield "bind the role to its own environment"
    if role["audiences"] != [audience]:
        yield f"accept only the audience {audience}"
    if not 0 < role["lease"] <= setup.LEASE_SECONDS or not 0 < role["longest"] <= setup.LONGEST_SECONDS:
        yield f"set leases to {setup.LEASE_SECONDS} s, and their maximum to {setup.LONGEST_SECONDS} s"


def _wanted(name: str) -> tuple[str, ...]:
    """Return the claims that a role must require."""
    if name == lease.REVIEW:
        return (*_PROJECT, "pipeline_source")
    return (*_PROJECT, *_BRANCH) if name == lease.role() else (*_PROJECT, *_BRANCH, "environment")


def _secrets(store: Store, provider: Provider) -> Iterator[Diagnosis]:
    """Check that each secret of policy exists and is not too old."""
    for place, environment, days in store.places():
        name = f"secret {place.name}" + (f" ({environment})" if environment else "")
        option = f" --environment {environment}" if environment else ""
        try:
            kept = provider.get(place)
        except NotFound:
            yield Diagnosis(name, "missing", "", f"`factory secrets put {place.name}{option}`", required=False)
            continue
        except FactoryError as error:
            yield Diagnosis(name, "unknown", str(error), error.hint, required=False)
            continue
        age = (clock.now() - clock.parse(kept.created)).days if kept.created else None
        old = age is not None and age >= days
        fix = f"`factory secrets rotate {place.name}{option}`" if old else ""
        detail = f"version {kept.version}, {age} of {days} days old" if age is not None else "exists"
        yield Diagnosis(name, "fix" if old else "ok", detail, fix)
