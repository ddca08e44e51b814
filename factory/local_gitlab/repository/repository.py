"""Branches, commits, files and comparisons (docs: Branches, Commits, Repositories and Repository files API)."""

import base64
from typing import Any

from factory.errors import ToolFailed
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs import push_rules
from factory.local_gitlab.refs.protected_branches import may, protection
from factory.local_gitlab.refs.ref_names import is_branch_name
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.git import Repository
from factory.local_gitlab.serving.store import Document
from factory.system import loopback


def _repo(call: Call) -> Repository:
    return call.context.repository(call.project)


def _commit_or_404(call: Call, name: str) -> str:
    sha = _repo(call).resolve(name)
    if sha is None:
        raise api.not_found("Commit")
    return sha


def _branch(context: Context, project: Document, name: str, sha: str) -> Document:
    rules = protection(context.store, project, name)
    return {
        "name": name,
        "commit": context.repository(project).one(sha),
        "merged": False,
        "protected": bool(rules),
        "developers_can_push": any(
            level["access_level"] == DEVELOPER for rule in rules for level in rule["push_access_levels"]
        ),
        "developers_can_merge": any(
            level["access_level"] == DEVELOPER for rule in rules for level in rule["merge_access_levels"]
        ),
        "can_push": not rules,
        "default": name == project["default_branch"],
        "web_url": f"{context.base_url}/{project['path_with_namespace']}/-/tree/{name}",
    }


def _branches(call: Call) -> Any:
    search = str(call.params.get("search") or "").strip("^$")
    found = sorted((name, sha) for name, sha in _repo(call).branches().items() if search in name)
    return Page([_branch(call.context, call.project, name, sha) for name, sha in found])


def _one_branch(call: Call) -> Any:
    sha = _repo(call).branches().get(call.path["name"])
    if sha is None:
        raise api.not_found("Branch")
    return _branch(call.context, call.project, call.path["name"], sha)


def _create_branch(call: Call) -> Any:
    name, ref = str(call.need("branch")), str(call.need("ref"))
    sha = _repo(call).resolve(ref)
    if sha is None:
        raise api.bad_request("Invalid reference name: " + ref)
    if not is_branch_name(name):
        raise api.bad_request("Branch name is invalid")
    if name in _repo(call).branches():
        raise api.bad_request("Branch already exists")
    if not may(call.store, call.project, name, "push", call.user, call.role):
        raise api.forbidden()
    push_rules.refuse_branch(call, name)
    _repo(call).set_branch(name, sha, None)
    sync_refs(call.context, call.project, call.user)
    return api.Answer(_branch(call.context, call.project, name, sha), 201)


def _delete_branch(call: Call) -> Any:
    name = call.path["name"]
    if name not in _repo(call).branches():
        raise api.not_found("Branch")
    if protection(call.store, call.project, name):
        raise api.forbidden("protected branch")
    _repo(call).git("update-ref", "-d", f"refs/heads/{name}")
    sync_refs(call.context, call.project, call.user)


def _commits(call: Call) -> Any:
    name = str(call.params.get("ref_name") or call.project["default_branch"])
    base, dots, head = name.partition("..")
    revisions = f"{_commit_or_404(call, base)}..{_commit_or_404(call, head)}" if dots else _commit_or_404(call, name)
    return Page(_repo(call).commits(revisions))


def _one_commit(call: Call) -> Any:
    sha = _commit_or_404(call, call.path["sha"])
    commit = _repo(call).one(sha)
    pipelines = [item for item in call.store.all("pipeline", project=call.project["id"]) if item["sha"] == sha]
    return commit | {
        "status": pipelines[-1]["status"] if pipelines else None,
        "project_id": call.project["id"],
        "last_pipeline": {key: pipelines[-1][key] for key in ("id", "sha", "ref", "status")} if pipelines else None,
    }


def _commit_diff(call: Call) -> Any:
    sha = _commit_or_404(call, call.path["sha"])
    parents = _repo(call).one(sha)["parent_ids"]
    base = parents[0] if parents else _repo(call).git("hash-object", "-t", "tree", "--stdin")
    return Page(_repo(call).diff(base, sha))


def _create_commit(call: Call) -> Any:
    branch, message = str(call.need("branch")), str(call.need("commit_message"))
    if not may(call.store, call.project, branch, "push", call.user, call.role):
        raise api.forbidden("You are not allowed to push into this branch")
    repository = _repo(call)
    head = repository.branches().get(branch)
    start = str(call.params.get("start_branch") or branch)
    parent = head or repository.resolve(start)
    actions = call.need("actions")
    if not isinstance(actions, list) or not all(isinstance(item, dict) for item in actions):
        raise api.bad_request("actions is invalid", key="error")
    if head is None and not is_branch_name(branch):
        raise api.bad_request(f"Failed to create branch '{branch}': invalid reference name '{branch}'", key="error")
    changes = [_action(repository, parent, action) for action in actions]
    name = str(call.params.get("author_name") or call.user["name"])
    email = str(call.params.get("author_email") or call.user["email"])
    sha = repository.commit(changes, parent=parent, message=message, author=f"{name}\0{email}")
    push_rules.refuse_commit(call, branch, sha)
    if not repository.set_branch(branch, sha, head):
        raise api.bad_request("Could not update the branch: it has moved")
    sync_refs(call.context, call.project, call.user)
    return api.Answer(repository.one(sha) | {"project_id": call.project["id"]}, 201)


def _action(repository: Repository, parent: str | None, action: Document) -> Document:
    kind, path = action.get("action"), str(action.get("file_path") or "")
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise api.bad_request("file_path should be a valid file path", key="error")
    exists = parent is not None and repository.read(parent, path) is not None
    if kind == "create" and exists:
        raise api.bad_request("A file with this name already exists")
    if kind in {"update", "delete"} and not exists:
        raise api.bad_request("A file with this name doesn't exist")
    if kind == "delete":
        return {"path": path, "content": None}
    if kind not in {"create", "update"}:
        raise api.bad_request("actions[action] does not have a valid value", key="error")
    content = str(action.get("content") or "")
    if action.get("encoding") != "base64":
        return {"path": path, "content": content.encode()}
    try:
        return {"path": path, "content": base64.b64decode(content)}
    except ValueError:
        raise api.bad_request("actions[content] is not base64", key="error") from None


def _file(call: Call) -> Any:
    ref = str(call.params.get("ref") or call.project["default_branch"])
    sha = _commit_or_404(call, ref)
    content = _repo(call).read(sha, call.path["path"])
    if content is None:
        raise api.not_found("File")
    return {
        "file_name": call.path["path"].rsplit("/", 1)[-1],
        "file_path": call.path["path"],
        "size": len(content),
        "encoding": "base64",
        "content": base64.b64encode(content).decode(),
        "ref": ref,
        "commit_id": sha,
        "blob_id": _repo(call).git("rev-parse", f"{sha}:{call.path['path']}"),
        "last_commit_id": _repo(call).git("log", "-1", "--format=%H", sha, "--", call.path["path"]),
    }


def _raw_file(call: Call) -> Any:
    sha = _commit_or_404(call, str(call.params.get("ref") or call.project["default_branch"]))
    content = _repo(call).read(sha, call.path["path"])
    if content is None:
        raise api.not_found("File")
    return content


def _tree(call: Call) -> Any:
    sha = _commit_or_404(call, str(call.params.get("ref") or call.project["default_branch"]))
    path = str(call.params.get("path") or "").strip("/")
    try:
        return Page(_repo(call).tree(sha, path, recursive=call.flag("recursive")))
    except ToolFailed:
        raise api.not_found("Tree") from None


def _compare(call: Call) -> Any:
    base, head = _commit_or_404(call, str(call.need("from"))), _commit_or_404(call, str(call.need("to")))
    repository = _repo(call)
    start = base if call.flag("straight") else repository.merge_base(base, head) or base
    commits = list(reversed(repository.commits(f"{start}..{head}")))
    return {
        "commit": commits[-1] if commits else None,
        "commits": commits,
        "diffs": repository.diff(start, head),
        "compare_timeout": False,
        "compare_same_ref": base == head,
    }


_REPOSITORY = "/projects/{id}/repository"

ROUTES = (
    Route("GET", _REPOSITORY + "/branches", _branches),
    Route("POST", _REPOSITORY + "/branches", _create_branch, DEVELOPER),
    Route("GET", _REPOSITORY + "/branches/{name:.+}", _one_branch),
    Route("DELETE", _REPOSITORY + "/branches/{name:.+}", _delete_branch, DEVELOPER),
    Route("GET", _REPOSITORY + "/commits", _commits),
    Route("POST", _REPOSITORY + "/commits", _create_commit, DEVELOPER, loopback.LARGE),
    Route("GET", _REPOSITORY + "/commits/{sha}/diff", _commit_diff),
    Route("GET", _REPOSITORY + "/commits/{sha}", _one_commit),
    Route("GET", _REPOSITORY + "/compare", _compare),
    Route("GET", _REPOSITORY + "/tree", _tree),
    Route("GET", _REPOSITORY + "/files/{path:.+}/raw", _raw_file),
    Route("GET", _REPOSITORY + "/files/{path:.+}", _file),
)
