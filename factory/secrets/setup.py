"""What a server needs before jobs can read secrets: a mount, policies, and who may log in with which of them.

A job that plans may read ``plan/`` and ``review/``, that of a merge request only ``review/``. A job that deploys to an
environment may read ``apply/<environment>/``, and only with an id token of that environment. Every step may be done
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.errors import NotFound
from factory.model.secret import Secret
from factory.secrets.lease import REVIEW, role
from factory.secrets.openbao import APPROLE, JWT, MOUNT, OpenBao

OPERATOR = "factory-operator"
# A lease is short, and renewed as long as its job runs; nothing outlives the longest job.
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
    """The GitLab whose id tokens are taken; ``audience`` is what its jobs ask for in ``id_tokens``."""

    url: str
    audience: str
    project_id: int
    project_path: str
    ref: str


def configure(server: OpenBao, environments: Sequence[str]) -> None:
    """Make the mount, the ways to log in, and the policies of jobs, machines and the operator.

    Raises ``Refused`` where the token may not.
    """
    if f"{MOUNT}/" not in server.read("sys/mounts"):
        server.write(f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
    ways = server.read("sys/auth")
    for kind in (JWT, APPROLE):
        if f"{kind}/" not in ways:
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
    """Take id tokens of one project's jobs on one protected ref; the issuer must be reachable from the server.

    Raises ``InvalidInput`` where the server can't read the issuer's discovery document.
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
    """Return a role that only jobs of this project with these claims can take."""
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
    """Return the role id of a machine and a new secret id; ``wrapped`` gives that for one showing within seconds."""
    path = f"auth/{APPROLE}/role/{name}"
    role_id = str(server.read(f"{path}/role-id")["role_id"])
    answer = server.write(f"{path}/secret-id", {}, wrapped=wrapped)
    if wrapped:
        return role_id, Secret(answer["wrap_info"]["token"])
    return role_id, Secret(answer["data"]["secret_id"])


def bindings(server: OpenBao, environments: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
    """Return what each role is bound to, by role; an absent one is left out."""
    found = {}
    for name in (REVIEW, role(), *(role(environment) for environment in environments)):
        path = f"auth/{JWT}/role/{name}"
        if _there(server, path):
            kept = server.read(path)
            found[name] = {
                "claims": kept["bound_claims"],
                "audiences": kept["bound_audiences"],
                "lease": kept["token_ttl"],
                "longest": kept["token_max_ttl"],
            }
    return found


def _there(server: OpenBao, path: str) -> bool:
    try:
        server.read(path)
    except NotFound:
        return False
    return True
