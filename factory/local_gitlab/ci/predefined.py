"""Predefined variables (docs: Predefined CI/CD variables reference); `definition/variable_table.py` lists them all.

What commits and merge requests say is untrusted: it is a value of a variable, and no other is read in it.
"""

import json

from factory import __version__
from factory.local_gitlab.accounts import namespaces
from factory.local_gitlab.definition.variables import slug
from factory.local_gitlab.projects import approval_rules, project_settings
from factory.local_gitlab.refs import protected_tags
from factory.local_gitlab.refs.protected_branches import protection
from factory.local_gitlab.serving.context import VERSION, Context
from factory.local_gitlab.serving.store import Document

# Licensed features that the simulator implements in part.
_LICENSED = ("merge_request_approvers", "protected_environments", "push_rules", "scoped_labels")
# What GitLab keeps of long texts: bytes of a commit's message, characters of others, and its other limits.
_MESSAGE_BYTES, _LONG_TITLE, _DESCRIPTION, _RELEASE, _TOPICS, _REQUESTS = 100_000, 100, 2700, 1024, 20, 4


def is_protected(context: Context, project: Document, pipeline: Document) -> bool:
    """Return whether a pipeline runs on a protected branch or tag; merge request pipelines never do."""
    if pipeline["_request"] is not None:
        return False
    if pipeline["tag"]:
        return bool(protected_tags.protection(context.store, project, pipeline["ref"]))
    return bool(protection(context.store, project, pipeline["ref"]))


def of_pipeline(context: Context, project: Document, pipeline: Document) -> dict[str, str]:
    """Return the variables that are known when a pipeline is created; rules see them."""
    iid = pipeline["_request"]
    request = None if iid is None else context.store.by_iid("merge_request", project["id"], iid)
    branch = request["source_branch"] if request else None if pipeline["tag"] else pipeline["ref"]
    values = {
        "CI_PIPELINE_SOURCE": pipeline["source"],
        "CI_PIPELINE_CREATED_AT": _seconds(pipeline["created_at"]),
        "CI_COMMIT_REF_NAME": branch or pipeline["ref"],
        "CI_COMMIT_REF_SLUG": slug(branch or pipeline["ref"]),
        "CI_COMMIT_REF_PROTECTED": _flag(is_protected(context, project, pipeline)),
        "CI_COMMIT_BEFORE_SHA": pipeline["before_sha"],
        **_of_server(context),
        **_of_project(context, project),
        **_of_commit(context, project, pipeline["sha"]),
        **of_user(context, pipeline["_user"]),
    }
    if "iid" in pipeline:
        values["CI_PIPELINE_IID"] = str(pipeline["iid"])
    if schedule := context.store.get("pipeline_schedule", pipeline.get("_schedule") or 0):
        values["CI_PIPELINE_SCHEDULE_DESCRIPTION"] = schedule["description"]
    if branch is None:
        return values | _of_tag(context, project, pipeline["ref"])
    opened = context.store.all("merge_request", project=project["id"], state="opened", source_branch=branch)
    if opened:
        names = [f"{project['path_with_namespace']}!{item['iid']}" for item in reversed(opened)]
        values["CI_OPEN_MERGE_REQUESTS"] = ",".join(names[:_REQUESTS])
    if request is None:
        return values | {"CI_COMMIT_BRANCH": branch}
    return values | _of_request(context, project, request, pipeline["sha"])


def of_user(context: Context, number: int) -> dict[str, str]:
    """Return the variables of the user who started a pipeline or a manual job."""
    user = context.store.get("user", number) or {}
    return {
        "GITLAB_USER_ID": str(number),
        "GITLAB_USER_LOGIN": user.get("username", ""),
        "GITLAB_USER_NAME": user.get("name", ""),
        "GITLAB_USER_EMAIL": user.get("email", ""),
    }


def of_job(context: Context, project: Document, pipeline: Document, job: Document) -> dict[str, str]:
    """Return the variables of a job that a runner has taken, without those of its environment."""
    url, started = f"{context.base_url}/{project['path_with_namespace']}/-", _seconds(job["started_at"])
    runner = context.store.get("runner", job["runner"]["id"]) or {}
    values = {
        "CI_JOB_ID": str(job["id"]),
        "CI_JOB_URL": f"{url}/jobs/{job['id']}",
        "CI_JOB_STARTED_AT": started,
        "CI_JOB_STARTED_AT_SLUG": slug(started),
        "CI_JOB_STATUS": "running",
        "CI_JOB_TAGS": json.dumps(job["tag_list"]),
        "CI_PIPELINE_ID": str(pipeline["id"]),
        "CI_PIPELINE_URL": f"{url}/pipelines/{pipeline['id']}",
        "CI_RUNNER_ID": str(job["runner"]["id"]),
        "CI_RUNNER_DESCRIPTION": job["runner"]["description"] or "",
        "CI_RUNNER_TAGS": json.dumps(runner.get("tag_list", [])),
        **of_user(context, job["_user"]),
    }
    return values | ({"CI_JOB_MANUAL": "true"} if job["_spec"]["when"] == "manual" else {})


def _of_server(context: Context) -> dict[str, str]:
    protocol, address = context.base_url.split("://")
    host, _, port = address.partition(":")
    major, minor, patch = VERSION.partition("-")[0].split(".")
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "GITLAB_FEATURES": "" if context.tier == "free" else ",".join(_LICENSED),
        "CI_API_V4_URL": context.api_url(),
        "CI_SERVER_NAME": "GitLab",
        "CI_SERVER_URL": context.base_url,
        "CI_SERVER_PROTOCOL": protocol,
        "CI_SERVER_FQDN": address,
        "CI_SERVER_HOST": host,
        "CI_SERVER_PORT": port,
        "CI_SERVER_VERSION": VERSION,
        "CI_SERVER_VERSION_MAJOR": major,
        "CI_SERVER_VERSION_MINOR": minor,
        "CI_SERVER_VERSION_PATCH": patch,
        "CI_SERVER_REVISION": __version__,
    }


def _of_project(context: Context, project: Document) -> dict[str, str]:
    path, namespace = project["path_with_namespace"], project["_namespace"]
    settings, root = project_settings.of(project), namespace.split("/")[0]
    return {
        "CI_PROJECT_ID": str(project["id"]),
        "CI_PROJECT_NAME": project["path"],
        "CI_PROJECT_TITLE": project["name"],
        "CI_PROJECT_DESCRIPTION": settings["description"] or "",
        "CI_PROJECT_PATH": path,
        "CI_PROJECT_PATH_SLUG": slug(path),
        "CI_PROJECT_NAMESPACE": namespace,
        "CI_PROJECT_NAMESPACE_SLUG": slug(namespace),
        "CI_PROJECT_NAMESPACE_ID": str(namespaces.of(context.store, project)["id"]),
        "CI_PROJECT_ROOT_NAMESPACE": root,
        "CI_PROJECT_ROOT_NAMESPACE_SLUG": slug(root),
        "CI_PROJECT_TOPICS": ",".join(settings["topics"][:_TOPICS]).lower(),
        "CI_PROJECT_URL": f"{context.base_url}/{path}",
        "CI_PROJECT_VISIBILITY": settings["visibility"],
        "CI_DEFAULT_BRANCH": project["default_branch"],
        "CI_DEFAULT_BRANCH_SLUG": slug(project["default_branch"]),
        "CI_CONFIG_PATH": project["ci_config_path"] or ".gitlab-ci.yml",
    }


def _of_commit(context: Context, project: Document, sha: str) -> dict[str, str]:
    commit = context.repository(project).one(sha)
    title, message = commit["title"], commit["message"]
    rest = message if len(title) >= _LONG_TITLE else message.partition("\n")[2].removesuffix("\n")
    return {
        "CI_COMMIT_SHA": sha,
        "CI_COMMIT_SHORT_SHA": sha[:8],
        "CI_COMMIT_TITLE": _start(title),
        "CI_COMMIT_DESCRIPTION": _start(rest),
        "CI_COMMIT_MESSAGE": _start(message),
        "CI_COMMIT_MESSAGE_IS_TRUNCATED": _flag(_start(message) != message),
        "CI_COMMIT_TIMESTAMP": commit["committed_date"],
        "CI_COMMIT_AUTHOR": f"{commit['author_name']} <{commit['author_email']}>",
    }


def _of_tag(context: Context, project: Document, name: str) -> dict[str, str]:
    tag = next(iter(context.repository(project).tags(name)), None)
    message = tag.message if tag and tag.message else ""
    release = context.store.find("release", name, project=project["id"])
    found = {"CI_COMMIT_TAG": name, "CI_COMMIT_TAG_MESSAGE": _start(message.rstrip("\n"))}
    return found | ({"CI_RELEASE_DESCRIPTION": (release["description"] or "")[:_RELEASE]} if release else {})


def _of_request(context: Context, project: Document, request: Document, sha: str) -> dict[str, str]:
    """Return the variables of a merge request's pipeline for a commit; here none is of merged results."""
    text, store = request["description"] or "", context.store
    # Older versions of this server stored no versions of a diff.
    usual = {"id": "", "base_commit_sha": request["diff_refs"]["base_sha"]}
    diff = next((item for item in request.get("_versions", []) if item["head_commit_sha"] == sha), usual)
    found = {
        "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
        "CI_MERGE_REQUEST_ID": str(request["id"]),
        "CI_MERGE_REQUEST_IID": str(request["iid"]),
        "CI_MERGE_REQUEST_REF_PATH": f"refs/merge-requests/{request['iid']}/head",
        "CI_MERGE_REQUEST_TITLE": request["title"],
        "CI_MERGE_REQUEST_DESCRIPTION": text[:_DESCRIPTION],
        "CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED": _flag(len(text) > _DESCRIPTION),
        "CI_MERGE_REQUEST_DRAFT": _flag(request["draft"]),
        "CI_MERGE_REQUEST_SQUASH_ON_MERGE": _flag(request["squash"]),
        "CI_MERGE_REQUEST_DIFF_ID": str(diff["id"]),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": diff["base_commit_sha"],
        # Only pipelines of merged results have these two.
        "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
        "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "",
    }
    for side, of in (("SOURCE", "SOURCE_PROJECT"), ("TARGET", "PROJECT")):
        branch = request[f"{side.lower()}_branch"]
        found |= {
            f"CI_MERGE_REQUEST_{of}_ID": str(project["id"]),
            f"CI_MERGE_REQUEST_{of}_PATH": project["path_with_namespace"],
            f"CI_MERGE_REQUEST_{of}_URL": f"{context.base_url}/{project['path_with_namespace']}",
            f"CI_MERGE_REQUEST_{side}_BRANCH_NAME": branch,
            f"CI_MERGE_REQUEST_{side}_BRANCH_PROTECTED": _flag(bool(protection(store, project, branch))),
        }
    if request["labels"]:
        found["CI_MERGE_REQUEST_LABELS"] = ",".join(request["labels"])
    if context.tier != "free" and approval_rules.left(context, project, request) == 0:
        found["CI_MERGE_REQUEST_APPROVED"] = "true"
    return found


def _flag(value: object) -> str:
    return "true" if value else "false"


def _seconds(moment: str) -> str:
    """Return a time without its fraction of a second."""
    return moment.partition(".")[0] + "Z"


def _start(text: str) -> str:
    """Return as much of a text of git as GitLab keeps; a longer one could start no program."""
    return text.encode()[:_MESSAGE_BYTES].decode(errors="ignore")
