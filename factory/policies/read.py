"""Reads ``policies/*.yml`` from bytes into types."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from factory.errors import InvalidInput
from factory.policies.model import Policies
from factory.system import canonical, strict_yaml

FILES = (
    "agents",
    "gates",
    "scope",
    "workflow",
    "budgets",
    "retention",
    "approvals",
    "environments",
    "exceptions",
    "terraform",
)


def read(files: Mapping[str, bytes]) -> Policies:
    """Return the policies in files named ``policies/<name>.yml``.

    Raises ``InvalidInput`` naming file and key for an unknown file, a missing one, or a value that does not fit.
    """
    known = {f"policies/{name}.yml": name for name in FILES}
    for path in files:
        if path.endswith(".yml") and path not in known:
            raise InvalidInput(f"{path}: no policy has this name; there are {', '.join(FILES)}")
    values: dict[str, Any] = {}
    for path, name in known.items():
        if path not in files:
            raise InvalidInput(f"{path} is missing")
        values[name] = strict_yaml.load_mapping(files[path].decode(errors="replace"), source=path)
    try:
        policies = Policies(**values, digest=digest(files))
    except ValidationError as error:
        first = error.errors()[0]
        name, *keys = (str(part) for part in first["loc"])
        where = ".".join(keys) or "the file"
        raise InvalidInput(f"policies/{name}.yml: {where}: {first['msg']}") from error
    _cross_check(policies)
    return policies


def digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of all policy files: of the sorted pairs of path and content digest."""
    known = {f"policies/{name}.yml" for name in FILES}
    return canonical.digest_of([[path, canonical.digest(files[path])] for path in sorted(known & set(files))])


def _cross_check(policies: Policies) -> None:
    if policies.agents.default not in policies.agents.agents:
        raise InvalidInput(f"policies/agents.yml: default: there is no agent {policies.agents.default!r}")
    environments = policies.environments
    if environments.deploy not in environments.environments:
        raise InvalidInput(f"policies/environments.yml: deploy: there is no environment {environments.deploy!r}")
    for name, environment in environments.environments.items():
        if environment.production and environment.approvals == 0:
            raise InvalidInput(
                f"policies/environments.yml: environments.{name}.approvals: production is always approved by a person"
            )
    for name in policies.gates.checks:
        if name not in policies.gates.gates:
            raise InvalidInput(f"policies/gates.yml: checks.{name}: there is no gate of this name")
