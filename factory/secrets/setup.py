"""Configures an OpenBao server for jobs: the mount, the policies and the roles.

A plan job may read ``plan/`` and ``review/``; a job of a merge request only ``review/``. A job that deploys to an
environment may read ``apply/<environment>/``, and only with an ID token for that environment. Every step can be
repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.errors import NotFound
from factory.model.secret import Secret
from factory.secrets.lease import REVIEW, role
from factory.secrets.openbao import APPROLE, JWT, MOUNT, OpenBao

OPERATOR = "factory-operator"
# A lease is renewed while its job runs, up to the duration of the longest job.
LEASE_SECONDS, LONGEST_SECONDS = 300, 3600
OPERATOR_SECONDS = 3600
_OPERATE = """path "{mount}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
path "sys/policies/acl/factory-*" {{
  capabilities = ["create", "read", "update"]
}}
path "sys/mounts" {{
  capabilities = ["read"]
}}
path "sys/auth" {{
  capabilities = ["read"]
}}
path "auth/jwt/config" {{
  capabilities = ["create", "read", "update"]
}}
path "auth/jwt/role/*" {{
  capabilities = ["create", "read", "update", "list"]
}}
path "auth/approle/role/factory-*" {{
  capabilities = ["create", "read", "update"]
}}
path "sys/wrapping/wrap" {{
  capabilities = ["update"]
}}
"""


@dataclass(frozen=True)
class Issuer:
    """The GitLab project that issues the ID tokens; ``audience`` is the ``aud`` of the jobs' ``id_tokens``."""

    url: str
    audience: str
    project_id: int
    project_path: str
    ref: str


def configure(server: OpenBao, environments: Sequence[str]) -> None:
    """Create the mount, the auth methods and the policies of jobs, machines and the operator.

    Raises ``Refused`` if the token lacks the permission.
    """
    if f"{MOUNT}/" not in server.read("sys/mounts"):
        server.write(f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
    methods = server.read("sys/auth")
    for kind in (JWT, APPROLE):
        if f"{kind}/" not in methods:
            server.write(f"sys/auth/{kind}", {"type": kind})
    policies = {
        OPERATOR: _OPERATE.format(mount=MOUNT),
        REVIEW: _read("review"),
        role(): _read("plan") + _read("review"),
    }
    policies |= {role(name): _read(f"apply/{name}") for name in environments}
    for name, text in policies.items():
        server.write(f"sys/policies/acl/{name}", {"policy": text})
        lasts = OPERATOR_SECONDS if name == OPERATOR else LEASE_SECONDS
        server.write(
            f"auth/{APPROLE}/role/{name}",
            {"token_policies": [name], "token_ttl": lasts, "token_max_ttl": max(lasts, LONGEST_SECONDS)},
        )


def trust(server: OpenBao, issuer: Issuer, environments: Sequence[str]) -> None:
    """Accept ID tokens of one project's jobs; the server must be able to reach the issuer.

    The roles for plans and deployments accept only jobs of the protected branch ``issuer.ref``. Raises ``InvalidInput``
    if the server can't read the issuer's discovery document.
    """
    config = {"oidc_discovery_url": issuer.url, "bound_issuer": issuer.url, "jwt_supported_algs": ["RS256"]}
    server.write(f"auth/{JWT}/config", config)
    branch = {"ref_protected": "true", "ref_type": "branch", "ref": issuer.ref}
    server.write(f"auth/{JWT}/role/{REVIEW}", _binding(issuer, REVIEW, {"pipeline_source": "merge_request_event"}))
    server.write(f"auth/{JWT}/role/{role()}", _binding(issuer, role(), branch))
    for name in environments:
        server.write(f"auth/{JWT}/role/{role(name)}", _binding(issuer, role(name), {**branch, "environment": name}))


def _read(folder: str) -> str:
    return f'path "{MOUNT}/data/{folder}/*" {{\n  capabilities = ["read"]\n}}\n'


def _binding(issuer: Issuer, policy: str, claims: Mapping[str, str]) -> dict[str, object]:
    """Return the definition of a role for jobs of this project with these claims."""
    project = {"project_id": str(issuer.project_id), "project_path": issuer.project_path}
    return {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": [issuer.audience],
        "bound_claims": {**project, **claims},
        "claim_mappings": {name: name for name in ("project_path", "ref", "job_id", "pipeline_id", "user_login")},
        "token_policies": [policy],
        "token_ttl": LEASE_SECONDS,
        "token_max_ttl": LONGEST_SECONDS,
    }


def machine(server: OpenBao, name: str, *, wrapped: int = 0) -> tuple[str, Secret]:
    """Return a machine's role ID and a new secret ID.

    If ``wrapped`` is positive, a wrapping token replaces the secret ID; it works once, within that many seconds.
    """
    path = f"auth/{APPROLE}/role/{name}"
    role_id = str(server.read(f"{path}/role-id")["role_id"])
    answer = server.write(f"{path}/secret-id", {}, wrapped=wrapped)
    if wrapped:
        return role_id, Secret(answer["wrap_info"]["token"])
    return role_id, Secret(answer["data"]["secret_id"])


def bindings(server: OpenBao, environments: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
    """Return the bindings of each role that exists."""
    found = {}
    for name in (REVIEW, role(), *(role(environment) for environment in environments)):
        path = f"auth/{JWT}/role/{name}"
        if _exists(server, path):
            stored = server.read(path)
            found[name] = {
                "claims": stored["bound_claims"],
                "audiences": stored["bound_audiences"],
                "lease": stored["token_ttl"],
                "longest": stored["token_max_ttl"],
            }
    return found


def _exists(server: OpenBao, path: str) -> bool:
    try:
        server.read(path)
    except NotFound:
        return False
    return True
