"""Issue and merge request templates: files of the default branch (docs: Project templates API)."""

from typing import Any

from factory.errors import ToolFailed
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call, Page, Route

_FOLDERS = {"issues": ".gitlab/issue_templates", "merge_requests": ".gitlab/merge_request_templates"}
_SUFFIX = ".md"


def _folder(call: Call) -> str:
    """Return the folder of the templates of the call's kind; raises 400 for kinds that are not supported here."""
    if call.path["kind"] not in _FOLDERS:
        raise api.bad_request("type does not have a valid value", key="error")
    return _FOLDERS[call.path["kind"]]


def _list(call: Call) -> Any:
    folder, head = _folder(call), _head(call)
    try:
        found = call.context.repository(call.project).tree(head, folder, recursive=False) if head else []
    except ToolFailed:
        found = []
    names = [item["name"] for item in found if item["type"] == "blob" and item["name"].endswith(_SUFFIX)]
    return Page([{"key": name.removesuffix(_SUFFIX), "name": name.removesuffix(_SUFFIX)} for name in sorted(names)])


def _head(call: Call) -> str | None:
    return call.context.repository(call.project).branches().get(call.project["default_branch"])


def _one(call: Call) -> Any:
    folder, head, name = _folder(call), _head(call), call.path["name"]
    path = f"{folder}/{name}{_SUFFIX}"
    content = call.context.repository(call.project).read(head, path) if head and "/" not in name else None
    if content is None:
        raise api.not_found("Template")
    return {"name": name, "content": content.decode(errors="replace")}


_ALL = "/projects/{id}/templates/{kind}"

ROUTES = (Route("GET", _ALL, _list), Route("GET", _ALL + "/{name}", _one))
