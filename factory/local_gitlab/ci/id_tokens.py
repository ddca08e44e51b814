"""Creates the id tokens of jobs (docs: OpenID Connect authentication using ID tokens)."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from factory.local_gitlab.accounts import membership, namespaces
from factory.local_gitlab.ci import oidc
from factory.local_gitlab.ci.predefined import is_protected
from factory.local_gitlab.definition import durations
from factory.local_gitlab.definition.variables import substitute
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_SHORTEST = 300
# Tolerates a verifier's clock that is a few seconds behind.
_BEFORE = 5
_LEVELS = {10: "guest", 15: "planner", 20: "reporter", 30: "developer", 40: "maintainer", 50: "owner"}


def added(
    context: Context, project: Document, pipeline: Document, job: Document, variables: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return a job's variables followed by its masked id tokens, which other variables must not replace.

    A token's audience may contain variables. The token is valid for the job's ``timeout``, or for 5 minutes if the
    job has none.
    """
    entries = job["_spec"].get("id_tokens") or {}
    if not entries:
        return list(variables)
    known = {item["key"]: item["value"] for item in variables}
    base = _claims(context, project, pipeline, job)
    now = int(clock.now().timestamp())
    times = {
        "iat": now,
        "nbf": now - _BEFORE,
        "exp": now + durations.or_default(job["_spec"].get("timeout"), _SHORTEST),
    }
    signed = {
        name: oidc.sign(context, base | times | {"jti": secrets.token_hex(16), "aud": _audience(entry["aud"], known)})
        for name, entry in entries.items()
    }
    kind = {"public": False, "masked": True, "file": False, "raw": True}
    return [*variables, *({"key": name, "value": text, **kind} for name, text in signed.items())]


def _audience(audience: Any, known: Mapping[str, str]) -> str | list[str]:
    """Return the audience with variables replaced; a list stays a list."""
    if isinstance(audience, list):
        return [substitute(str(item), known) for item in audience]
    return substitute(str(audience), known)


def _claims(context: Context, project: Document, pipeline: Document, job: Document) -> dict[str, Any]:
    """Return all claims except times and audience; numbers and booleans are texts, as in GitLab's tokens."""
    user = context.store.get("user", job["_user"]) or {}
    ref = _ref(context, project, pipeline)
    path, config = project["path_with_namespace"], project["ci_config_path"] or ".gitlab-ci.yml"
    protected = is_protected(context, project, pipeline)
    kind, folder = ("tag", "tags") if pipeline["tag"] else ("branch", "heads")
    namespace = namespaces.of(context.store, project)
    return {
        "iss": context.base_url,
        "sub": f"project_path:{path}:ref_type:{kind}:ref:{ref}",
        "namespace_id": str(namespace["id"]),
        "namespace_path": project["_namespace"],
        "project_id": str(project["id"]),
        "project_path": path,
        "user_id": str(user["id"]),
        "user_login": user["username"],
        "user_email": user["email"],
        "user_access_level": _level(context, project, user),
        "pipeline_id": str(pipeline["id"]),
        "pipeline_source": pipeline["source"],
        "job_id": str(job["id"]),
        "ref": ref,
        "ref_type": kind,
        "ref_path": f"refs/{folder}/{ref}",
        "ref_protected": str(protected).lower(),
        **_environment(context, project, job),
        "runner_id": job["runner"]["id"],
        "runner_environment": "self-hosted",
        "sha": pipeline["sha"],
        "ci_config_ref_uri": f"{context.base_url.split('://')[1]}/{path}//{config}@refs/{folder}/{ref}",
        "ci_config_sha": pipeline["sha"],
        "project_visibility": project["visibility"],
    }


def _ref(context: Context, project: Document, pipeline: Document) -> str:
    """Return a pipeline's branch or tag; for a merge request pipeline, the source branch."""
    if pipeline["_request"] is None:
        return str(pipeline["ref"])
    request = context.store.by_iid("merge_request", project["id"], pipeline["_request"]) or {}
    return str(request["source_branch"])


def _level(context: Context, project: Document, user: Document) -> str | None:
    if user["is_admin"]:
        return "owner"
    member = membership.find(context.store, project, user["id"])
    return _LEVELS.get(member["access_level"]) if member else None


def _environment(context: Context, project: Document, job: Document) -> dict[str, str]:
    """Return the claims of a job with an environment; other jobs have none of them."""
    name = job["_environment"]
    if not name:
        return {}
    keyword = job["_spec"]["environment"]
    options = keyword if isinstance(keyword, dict) else {}
    stored = context.store.find("environment", name, project=project["id"]) or {}
    protected = context.store.find("protected_environment", name, project=project["id"]) is not None
    return {
        "environment": name,
        "environment_protected": str(protected).lower(),
        "deployment_tier": str(options.get("deployment_tier") or stored["tier"]),
        "environment_action": str(options.get("action") or "start"),
    }
