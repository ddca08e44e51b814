"""Branches, commits, trees and comparisons (docs: Branches, Commits and Repositories API)."""

from typing import Any

from factory.errors import ToolFailed
from factory.local_gitlab.projects import default_branch
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs import push_rules
from factory.local_gitlab.refs.protected_branches import may, protection
from factory.local_gitlab.refs.ref_names import as_rule, covers, is_branch_name
from factory.local_gitlab.repository import commit_writes, file_contents
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.git import Repository
from factory.local_gitlab.serving.store import Document
from factory.system import loopback

# The last second of 2099: git reads no later time.
_LAST_TIME = 4_102_444_799
_NOT_DELETED = "You are not allowed to delete protected branches from this project."


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
    """List branches; ``search`` ignores case, and ``^`` and ``$`` at its ends are those of the name."""
    search, expression = str(call.params.get("search") or "").lower(), str(call.params.get("regex") or "")
    wanted = ("" if search.startswith("^") else "*") + search.strip("^$") + ("" if search.endswith("$") else "*")
    rule = as_rule(expression)
    if rule is None:
        raise api.unsupported(f"the regex {expression}")
    if call.params.get("sort") not in (None, "name_asc"):
        raise api.unsupported("sort")
    found = sorted(
        (name, sha)
        for name, sha in _repo(call).branches().items()
        if covers(wanted, name.lower()) and covers(rule, name)
    )
    return Page(found, lambda item: _branch(call.context, call.project, *item))


def _one_branch(call: Call) -> Any:
    sha = _repo(call).branches().get(call.path["name"])
    if sha is None:
        raise api.not_found("Branch")
    return _branch(call.context, call.project, call.path["name"], sha)


def _create_branch(call: Call) -> Any:
    name, ref = str(call.need("branch")), str(call.need("ref"))
    if not is_branch_name(name):
        raise api.failed(400, "Branch name is invalid")
    if name in _repo(call).branches():
        raise api.failed(400, "Branch already exists")
    if not _repo(call).branches():
        commit_writes.first_file(call)
    sha = _repo(call).resolve(ref)
    if sha is None:
        raise api.failed(400, "Invalid reference name: " + ref)
    _refuse_creation(call, name, sha)
    push_rules.refuse_branch(call, name)
    if not _repo(call).set_branch(name, sha, None):
        raise api.failed(400, f"Failed to create branch '{name}': a branch is in the way")
    if name == call.project["default_branch"]:
        default_branch.protect(call.store, call.project)
    sync_refs(call.context, call.project, call.user)
    return api.Answer(_branch(call.context, call.project, name, sha), 201)


def _refuse_creation(call: Call, name: str, sha: str) -> None:
    """Raise 400 if the caller may not create a protected branch (docs: Protected branches, create a branch).

    Who may only merge into it may create it at a commit that is already in a protected branch.
    """
    if may(call.store, call.project, name, "push", call.user, call.role):
        return
    if not may(call.store, call.project, name, "merge", call.user, call.role):
        raise api.failed(400, "You are not allowed to create protected branches on this project.")
    heads = _repo(call).branches().items()
    protected = (head for branch, head in heads if protection(call.store, call.project, branch))
    if not any(_repo(call).is_ancestor(sha, head) for head in protected):
        reason = "You can only use an existing protected branch ref as the basis of a new protected branch."
        raise api.failed(400, reason)


def _delete_branch(call: Call) -> Any:
    """Delete a branch; maintainers may delete protected ones, which git can't (docs: Delete protected branches)."""
    name = call.path["name"]
    if name not in _repo(call).branches():
        raise api.not_found("Branch")
    if name == call.project["default_branch"]:
        raise api.failed(400, "The default branch of a project cannot be deleted.")
    if call.role < MAINTAINER and protection(call.store, call.project, name):
        raise api.failed(400, f"{_NOT_DELETED} Only a project maintainer or owner can delete a protected branch.")
    _repo(call).git("update-ref", "-d", f"refs/heads/{name}")
    sync_refs(call.context, call.project, call.user)


def _commits(call: Call) -> Any:
    topological = call.choice("order", ("default", "topo"), "default") == "topo"
    times = {key: lists.moment(call, key) for key in ("since", "until")}
    options = [f"--{key}=@{min(int(time.timestamp()), _LAST_TIME)} +0000" for key, time in times.items() if time]
    options += [f"--author={call.text('author')}"] if call.params.get("author") else []
    options += ["--first-parent"] if call.flag("first_parent") else []
    options += ["--topo-order"] if topological else []
    path = call.text("path") or ""
    if call.flag("all"):
        return Page(_repo(call).commits("--branches", "--tags", *options, path=path))
    name = str(call.params.get("ref_name") or call.project["default_branch"])
    base, dots, head = name.partition("..")
    revisions = f"{_commit_or_404(call, base)}..{_commit_or_404(call, head)}" if dots else _commit_or_404(call, name)
    return Page(_repo(call).commits(revisions, *options, path=path))


def _one_commit(call: Call) -> Any:
    sha = _commit_or_404(call, call.path["sha"])
    commit = _repo(call).one(sha)
    pipelines = call.store.all("pipeline", project=call.project["id"], sha=sha, _bridge=None)
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
    actions = call.need("actions")
    if not isinstance(actions, list) or not all(isinstance(item, dict) for item in actions):
        raise api.bad_request("actions is invalid", key="error")
    return commit_writes.answer(call, commit_writes.write(call, actions))


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
    *file_contents.ROUTES,
)
