"""Deletion of projects, groups and users, at once; GitLab keeps projects and groups for some days."""

from factory.local_gitlab.accounts import accounts, membership, namespaces
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import OWNER, PUBLIC, Call, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import files

_CONTRIBUTIONS = ("issue", "merge_request", "note")


def remove_project(context: Context, project: Document) -> None:
    """Delete a project, its documents and its repository."""
    path = context.repository(project).path
    context.store.forget_project(project["id"])
    files.remove_tree(path)


def _remove_namespace(context: Context, namespace: Document) -> None:
    """Delete a group or a user's namespace with everything below it."""
    store, path = context.store, namespace["full_path"]
    for below in store.all("namespace", parent_id=namespace["id"]):
        _remove_namespace(context, below)
    for project in store.all("project", _namespace=path):
        remove_project(context, project)
    for member in membership.of_group(store, namespace):
        membership.remove(store, member)
    store.delete("namespace", namespace)


def _delete_project(call: Call) -> api.Answer:
    remove_project(call.context, call.project)
    return api.Answer({"message": "202 Accepted"}, 202)


def _delete_group(call: Call) -> api.Answer:
    _remove_namespace(call.context, namespaces.owned_group(call))
    return api.Answer({"message": "202 Accepted"}, 202)


def _delete_user(call: Call) -> None:
    api.need_admin(call)
    remove_user(call, api.require(call.store.get("user", call.iid("user_id")), "User"))


def remove_user(call: Call, user: Document) -> None:
    """Delete a user; with the parameter ``hard_delete`` also contributions, and the groups that nobody else owns."""
    store, hard = call.store, call.flag("hard_delete")
    alone = membership.owned_alone(store, user["id"])
    if alone and not hard:
        raise api.conflict("User cannot be removed while is the sole-owner of a group")
    for group in alone:
        _remove_namespace(call.context, group)
    own = store.find("namespace", user["username"])
    if own:
        _remove_namespace(call.context, own)
    for kind in _CONTRIBUTIONS if hard else ():
        for document in store.all(kind, _author=user["id"]):
            store.delete(kind, document)
    for token in store.all("token", user_id=user["id"]):
        store.delete("token", token)
    for member in membership.of_user(store, user["id"]):
        membership.remove(store, member)
    accounts.ensure_ghost(store)
    store.delete("user", user)


ROUTES = (
    Route("DELETE", "/projects/{id}", _delete_project, OWNER),
    Route("DELETE", "/groups/{reference}", _delete_group, PUBLIC),
    Route("DELETE", "/users/{user_id}", _delete_user, PUBLIC),
)
