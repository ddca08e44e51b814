"""Commits that the API writes on a branch: checks of the branch, its start and the actions (docs: Commits API)."""

import base64

from factory.local_gitlab.projects import default_branch
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs import push_rules
from factory.local_gitlab.refs.protected_branches import may
from factory.local_gitlab.refs.ref_names import is_branch_name
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.git import Repository
from factory.local_gitlab.serving.store import Document

_UNSUPPORTED = ("force", "start_project", "execute_filemode")
_ABSENT = "A file with this name doesn't exist"


def write(call: Call, actions: list[Document]) -> str:
    """Commit actions on the branch that the call names; return the commit's SHA.

    ``start_branch`` or ``start_sha`` is where a new branch starts.
    """
    branch, message = str(call.need("branch")), str(call.need("commit_message"))
    if not may(call.store, call.project, branch, "push", call.user, call.role):
        raise api.forbidden("You are not allowed to push into this branch")
    api.refuse_unsupported(call, _UNSUPPORTED)
    repository = call.context.repository(call.project)
    branches = repository.branches()
    parent = _parent(call, branch, branches)
    if branch not in branches and not is_branch_name(branch):
        raise api.bad_request(f"Failed to create branch '{branch}': invalid reference name '{branch}'", key="error")
    changes = [_change(repository, parent, action) for action in actions]
    name = str(call.params.get("author_name") or call.user["name"])
    email = str(call.params.get("author_email") or call.user["email"])
    sha = repository.commit(changes, parent=parent, message=message, author=f"{name}\0{email}")
    push_rules.refuse_commit(call, branch, sha)
    if not repository.set_branch(branch, sha, branches.get(branch)):
        raise api.failed(400, "Could not update the branch: it has moved")
    if branch not in branches and branch == call.project["default_branch"]:
        default_branch.protect(call.store, call.project)
    sync_refs(call.context, call.project, call.user)
    return sha


def first_file(call: Call) -> None:
    """Commit an empty README.md, as GitLab does for the first branch of an empty repository."""
    repository = call.context.repository(call.project)
    author = f"{call.user['name']}\0{call.user['email']}"
    change = {"path": "README.md", "content": b""}
    sha = repository.commit([change], parent=None, message="Add README.md", author=author)
    repository.set_branch(call.project["default_branch"], sha, None)
    default_branch.protect(call.store, call.project)
    sync_refs(call.context, call.project, call.user)


def _parent(call: Call, branch: str, branches: dict[str, str]) -> str | None:
    """Return the commit's parent; raises 400 for a branch that cannot start there."""
    start = str(call.params.get("start_sha") or call.params.get("start_branch") or branch)
    if branch in branches and start != branch:
        reason = f"A branch called '{branch}' already exists. Switch to that branch in order to make changes"
        raise api.failed(400, reason)
    found = (
        branches.get(start) if not call.params.get("start_sha") else call.context.repository(call.project).peel(start)
    )
    if found is None and branches:
        raise api.failed(400, "You can only create or edit files when you are on a branch")
    return found


def _change(repository: Repository, parent: str | None, action: Document) -> Document:
    kind, path = action.get("action"), str(action.get("file_path") or "")
    if not path or path.startswith("/") or {"..", ".git"} & set(path.lower().split("/")):
        raise api.bad_request("file_path should be a valid file path", key="error")
    exists = parent is not None and repository.read(parent, path) is not None
    if kind == "create" and exists:
        raise api.failed(400, "A file with this name already exists")
    if kind in {"update", "delete"} and not exists:
        raise api.failed(400, _ABSENT)
    if kind in {"move", "chmod"}:
        raise api.unsupported(f"the action {kind}")
    if kind not in {"create", "update", "delete"}:
        raise api.bad_request("actions[action] does not have a valid value", key="error")
    known = action.get("last_commit_id")
    if exists and known and known != last_commit(repository, str(parent), path):
        reason = "You are attempting to {0} a file that has changed since you started editing it."
        raise api.failed(400, reason.format(kind))
    return {"path": path, "content": None if kind == "delete" else _content(action)}


def last_commit(repository: Repository, sha: str, path: str) -> str:
    """Return the last commit up to ``sha`` that changed a file."""
    return repository.git("log", "-1", "--format=%H", sha, "--", path)


def _content(action: Document) -> bytes:
    content = str(action.get("content") or "")
    if action.get("encoding") != "base64":
        return content.encode()
    try:
        return base64.b64decode(content)
    except ValueError:
        raise api.bad_request("actions[content] is not base64", key="error") from None


def answer(call: Call, sha: str) -> api.Answer:
    """Return GitLab's answer to a new commit."""
    commit = call.context.repository(call.project).one(sha)
    return api.Answer(commit | {"project_id": call.project["id"]}, 201)
