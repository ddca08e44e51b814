"""CI/CD variables of pipelines and jobs (docs: Predefined CI/CD variables reference)."""

import re
from collections.abc import Mapping
from typing import Any

from factory.local_gitlab.definition.variables import defined, expanded, is_raw, text_of, unexpanded
from factory.local_gitlab.refs import protected_tags
from factory.local_gitlab.refs.protected_branches import protection
from factory.local_gitlab.refs.ref_names import covers
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document


def is_protected(context: Context, project: Document, pipeline: Document) -> bool:
    """Return whether a pipeline runs on a protected branch or tag; merge request pipelines never do."""
    if pipeline["_request"] is not None:
        return False
    if pipeline["tag"]:
        return bool(protected_tags.protection(context.store, project, pipeline["ref"]))
    return bool(protection(context.store, project, pipeline["ref"]))


def predefined(context: Context, project: Document, pipeline: Document) -> dict[str, str]:
    """Return the predefined variables that are known when a pipeline is created."""
    path = project["path_with_namespace"]
    values = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER": "yes",
        "CI_SERVER_NAME": "GitLab",
        "CI_SERVER_URL": context.base_url,
        "CI_SERVER_HOST": context.base_url.split("://")[1].split(":")[0],
        "CI_API_V4_URL": context.api_url(),
        "CI_PROJECT_ID": str(project["id"]),
        "CI_PROJECT_NAME": project["path"],
        "CI_PROJECT_PATH": path,
        "CI_PROJECT_PATH_SLUG": re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-"),
        "CI_PROJECT_NAMESPACE": project["_namespace"],
        "CI_PROJECT_URL": f"{context.base_url}/{path}",
        "CI_DEFAULT_BRANCH": project["default_branch"],
        "CI_CONFIG_PATH": project["ci_config_path"] or ".gitlab-ci.yml",
        "CI_PIPELINE_SOURCE": pipeline["source"],
        "CI_PIPELINE_CREATED_AT": pipeline["created_at"],
        "CI_COMMIT_SHA": pipeline["sha"],
        "CI_COMMIT_SHORT_SHA": pipeline["sha"][:8],
        "CI_COMMIT_BEFORE_SHA": pipeline["before_sha"],
        "CI_COMMIT_REF_NAME": pipeline["ref"],
        "CI_COMMIT_REF_SLUG": re.sub(r"[^a-z0-9]+", "-", pipeline["ref"].lower()).strip("-")[:63],
        "CI_COMMIT_REF_PROTECTED": str(is_protected(context, project, pipeline)).lower(),
    }
    commit = context.repository(project).one(pipeline["sha"])
    values |= {
        "CI_COMMIT_TITLE": commit["title"],
        "CI_COMMIT_MESSAGE": commit["message"],
        "CI_COMMIT_TIMESTAMP": commit["committed_date"],
        "CI_COMMIT_AUTHOR": f"{commit['author_name']} <{commit['author_email']}>",
    }
    values |= pipeline.get("_variables", {})
    if pipeline["tag"]:
        tag = next(iter(context.repository(project).tags(pipeline["ref"])), None)
        message = tag.message if tag and tag.message else ""
        return values | {"CI_COMMIT_TAG": pipeline["ref"], "CI_COMMIT_TAG_MESSAGE": message.rstrip("\n")}
    if pipeline["_request"] is None:
        return values | {"CI_COMMIT_BRANCH": pipeline["ref"]}
    return values | _of_request(context, project, pipeline)


def before_jobs(context: Context, project: Document, pipeline: Document) -> dict[str, str]:
    """Return the variables that rules see before jobs exist."""
    below, above = layers(context, project, pipeline, masked=True)
    return below | (pipeline.get("_workflow") or {}) | above


def layers(
    context: Context, project: Document, pipeline: Document, *, masked: bool = False
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables with lower and with higher precedence than a definition's own variables.

    Those of one environment are not among them: rules do not see them (docs: Limit the environment scope of a CI/CD
    variable). ``masked`` adds the masked ones, for rules alone.
    """
    own = {
        item["key"]: item["value"]
        for item in _visible(context, project, pipeline)
        if item["environment_scope"] == "*" and (masked or not item["masked"])
    }
    return predefined(context, project, pipeline), own | pipeline.get("_variables", {})


def _visible(context: Context, project: Document, pipeline: Document) -> list[Document]:
    """Return the project's variables that a pipeline may see, for all environments."""
    protected = is_protected(context, project, pipeline)
    found = context.store.all("variable", project=project["id"])
    return [item for item in found if protected or not item["protected"]]


def _of_request(context: Context, project: Document, pipeline: Document) -> dict[str, str]:
    request = context.store.by_iid("merge_request", project["id"], pipeline["_request"]) or {}
    return {
        "CI_COMMIT_REF_NAME": request["source_branch"],
        "CI_OPEN_MERGE_REQUESTS": f"{project['path_with_namespace']}!{request['iid']}",
        "CI_MERGE_REQUEST_ID": str(request["id"]),
        "CI_MERGE_REQUEST_IID": str(request["iid"]),
        "CI_MERGE_REQUEST_TITLE": request["title"],
        "CI_MERGE_REQUEST_LABELS": ",".join(request["labels"]),
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": request["source_branch"],
        "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": pipeline["sha"],
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": request["target_branch"],
        "CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED": str(
            bool(protection(context.store, project, request["target_branch"]))
        ).lower(),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": request["diff_refs"]["base_sha"],
        "CI_MERGE_REQUEST_PROJECT_ID": str(project["id"]),
        "CI_MERGE_REQUEST_PROJECT_PATH": project["path_with_namespace"],
        "CI_MERGE_REQUEST_REF_PATH": f"refs/merge-requests/{request['iid']}/head",
        "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
    }


# Licensed features that the simulator implements in part.
_LICENSED = ("merge_request_approvers", "protected_environments", "push_rules", "scoped_labels")


def of_job(context: Context, project: Document, pipeline: Document, job: Document, token: str) -> list[dict[str, Any]]:
    """Return a job's variables in the Runner API's format; later ones override earlier ones.

    The order is GitLab's (docs: CI/CD variable precedence): predefined variables, then those of the definition, of
    dotenv reports of needed jobs, of the project, of the pipeline and of the manual start.
    """
    plain = predefined(context, project, pipeline) | {
        "CI_JOB_ID": str(job["id"]),
        "CI_JOB_NAME": job["name"],
        "CI_JOB_STAGE": job["stage"],
        "CI_JOB_URL": f"{context.base_url}/{project['path_with_namespace']}/-/jobs/{job['id']}",
        "CI_PIPELINE_ID": str(pipeline["id"]),
        "CI_PIPELINE_IID": str(pipeline["iid"]),
        "CI_PIPELINE_URL": f"{context.base_url}/{project['path_with_namespace']}/-/pipelines/{pipeline['id']}",
        "CI_JOB_STATUS": "running",
        "GITLAB_FEATURES": "" if context.tier == "free" else ",".join(_LICENSED),
    }
    if job["_spec"]["when"] == "manual":
        plain["CI_JOB_MANUAL"] = "true"
    # The user of a manual job is the user who started it (docs: Predefined CI/CD variables).
    user = context.store.get("user", job["_user"]) or {}
    plain |= {"GITLAB_USER_LOGIN": user.get("username", ""), "GITLAB_USER_NAME": user.get("name", "")}
    found = [_item(key, value) for key, value in plain.items()]
    host = context.base_url.removeprefix("http://")
    url = f"http://gitlab-ci-token:{token}@{host}/{project['path_with_namespace']}.git"
    found += [_item("CI_JOB_TOKEN", token, masked=True), _item("CI_REPOSITORY_URL", url, masked=True)]
    found += [_defined(key, value) for key, value in job["_spec"]["variables"].items()]
    found += [_item(key, value) for key, value in _of_environment(job).items()]
    found += [_item(key, value) for key, value in job["_dotenv"].items()]
    found += _of_project(context, project, pipeline, job)
    files = pipeline.get("_files", [])
    found += [_item(key, value) | {"file": key in files} for key, value in pipeline.get("_variables", {}).items()]
    found += [_item(item["key"], item["value"]) for item in job["_manual_variables"]]
    return found


def of_url(context: Context, job: Document, reported: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in the ``url`` of a job's environment; ``reported`` are those of the job's dotenv report."""
    project, pipeline = context.store.get("project", job["_project"]), context.store.get("pipeline", job["_pipeline"])
    below, above = layers(context, project or {}, pipeline or {})
    written = job["_spec"]["variables"]
    scoped = _of_project(context, project or {}, pipeline or {}, job)
    above |= {item["key"]: item["value"] for item in scoped if not item["masked"]}
    known = {**below, **_of_environment(job), **job["_dotenv"], **reported, **above}
    return {**below, **expanded(defined(written), known, raw=unexpanded(written)), **known}


def _of_environment(job: Document) -> dict[str, str]:
    name = job["_environment"]
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()) if name else ""
    return {"CI_ENVIRONMENT_NAME": name, "CI_ENVIRONMENT_SLUG": slug} if name else {}


def _of_project(context: Context, project: Document, pipeline: Document, job: Document) -> list[dict[str, Any]]:
    environment = job["_environment"] or ""
    return [
        {
            "key": item["key"],
            "value": item["value"],
            "public": False,
            "masked": item["masked"],
            "file": item["variable_type"] == "file",
            "raw": item["raw"],
        }
        for item in sorted(_visible(context, project, pipeline), key=lambda item: _precision(item["environment_scope"]))
        if covers(item["environment_scope"], environment)
    ]


def _precision(scope: str) -> int:
    """Return how exactly a scope names an environment: the most exact one that covers it has precedence."""
    return 0 if scope == "*" else 1 if "*" in scope else 2


def _defined(key: str, value: Any) -> dict[str, Any]:
    """Return a variable of the definition, expanded unless ``expand`` is false (docs: variables:expand)."""
    return _item(key, text_of(value)) | {"raw": is_raw(value)}


def _item(key: str, value: str, *, masked: bool = False) -> dict[str, Any]:
    return {"key": key, "value": value, "public": not masked, "masked": masked, "file": False, "raw": True}
