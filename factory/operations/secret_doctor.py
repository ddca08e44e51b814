"""What ``factory secrets doctor`` looks at: reach, login, leases, bindings, file modes, and the age of each secret."""

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
    """Return all that was looked at; what can't be reached leaves the rest of its part out."""
    policy = store.policies.secrets
    found = [Diagnosis("provider", "ok", policy.provider), *_modes(store)]
    try:
        with store.opened() as provider:
            if isinstance(provider, OpenBao):
                found += _server(provider)
                found += _bindings(provider, sorted(store.policies.environments.environments), policy.audience)
            else:
                provider.names()  # a file that can't be opened is one finding, not one for each secret
            found += _secrets(store, provider)
    except FactoryError as error:
        found.append(Diagnosis(f"{policy.provider} opens", "fix", str(error), error.hint))
    return found


def _modes(store: Store) -> Iterator[Diagnosis]:
    """Yield whether others can read what is private here."""
    paths = [store.key, *(path for path in _below(store.folder) if path.suffix not in {".lock", ".log"})]
    open_to_all = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & _OTHERS]
    for path in open_to_all:
        yield Diagnosis("file mode", "fix", f"others can read {path}", f"chmod go-rwx {path}; rotate what it guards")
    if not open_to_all:
        yield Diagnosis("file modes", "ok", "all private")


def _below(folder: Path) -> list[Path]:
    """Return a folder, and the files in it and in the local server's own folder."""
    if not folder.is_dir():
        return []
    return [folder, *folder.iterdir(), *((folder / "openbao").iterdir() if (folder / "openbao").is_dir() else ())]


def _server(made: OpenBao) -> Iterator[Diagnosis]:
    health = made.health()
    state = "ok" if health.active else "fix"
    yield Diagnosis(
        "server", state, f"{made.address}, version {health.version}, {'active' if health.active else 'not active'}"
    )
    told = made.lookup()
    policies = ", ".join(name for name in told["policies"] if name != "default")
    lasts = f"{told['ttl']} s" if told["ttl"] else "for ever"
    fix = "" if told["ttl"] else "a token without an end is no login: use `factory secrets login`"
    yield Diagnosis("login", "ok" if told["ttl"] else "fix", f"{policies}, lasts {lasts}", fix)


def _bindings(made: OpenBao, environments: list[str], audience: str) -> Iterator[Diagnosis]:
    """Yield what each role of id tokens is bound to, and how long its leases are."""
    try:
        roles = setup.bindings(made, environments)
    except FactoryError as error:
        yield Diagnosis("bindings", "unknown", str(error), "log in as who set the server up", required=False)
        return
    if not roles:
        yield Diagnosis(
            "bindings", "missing", "no id token is taken", "factory secrets init, with GitLab up", required=False
        )
    for name, role in roles.items():
        wrong = list(_unbound(name, role, audience))
        claims: Any = role["claims"]
        shown = ", ".join(f"{key}={claims[key]}" for key in ("project_path", "ref", "environment") if key in claims)
        told = f"{shown}; {role['lease']} s, at most {role['longest']} s"
        yield Diagnosis(f"role {name}", "fix" if wrong else "ok", told, "; ".join(wrong))


def _unbound(name: str, role: Mapping[str, Any], audience: str) -> Iterator[str]:
    """Yield what a role leaves open that must be closed."""
    claims = role["claims"] or {}
    missing = [claim for claim in _wanted(name) if not claims.get(claim)]
    if missing:
        yield f"bind {', '.join(missing)}"
    if claims.get("ref_protected") not in (None, "true"):
        yield "bind ref_protected to true"
    if "environment" in claims and name != lease.role(str(claims["environment"])):
        yield "it is bound to another environment"
    if role["audiences"] != [audience]:
        yield f"take the audience {audience} alone"
    if not 0 < role["lease"] <= setup.LEASE_SECONDS or not 0 < role["longest"] <= setup.LONGEST_SECONDS:
        yield f"leases of {setup.LEASE_SECONDS} s, {setup.LONGEST_SECONDS} s at most"


def _wanted(name: str) -> tuple[str, ...]:
    """Return the claims that a role must be bound to."""
    if name == lease.REVIEW:
        return (*_PROJECT, "pipeline_source")
    return (*_PROJECT, *_BRANCH) if name == lease.role() else (*_PROJECT, *_BRANCH, "environment")


def _secrets(store: Store, provider: Provider) -> Iterator[Diagnosis]:
    """Yield whether each secret of policy is there and not too old."""
    for place, environment, days in store.places():
        name = f"secret {place.name}" + (f" ({environment})" if environment else "")
        option = f" --environment {environment}" if environment else ""
        try:
            kept = provider.get(place)
        except NotFound:
            yield Diagnosis(name, "missing", "", f"factory secrets put {place.name}{option}", required=False)
            continue
        except FactoryError as error:
            yield Diagnosis(name, "unknown", str(error), error.hint, required=False)
            continue
        age = (clock.now() - clock.parse(kept.created)).days if kept.created else None
        old = age is not None and age >= days
        fix = f"factory secrets rotate {place.name}{option}" if old else ""
        told = f"version {kept.version}, {age} of {days} days old" if age is not None else "there"
        yield Diagnosis(name, "fix" if old else "ok", told, fix)
