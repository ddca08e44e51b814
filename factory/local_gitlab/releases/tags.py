"""The Tags API; tags are stored only in the git repository (docs: Tags API)."""

import re
from functools import partial
from typing import Any

from factory.errors import ToolFailed
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs.protected_tags import REFUSED, may_create, protection
from factory.local_gitlab.refs.ref_names import NEVER_IN_A_NAME
from factory.local_gitlab.releases import links
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.git import Tag
from factory.local_gitlab.serving.store import Document

_ORDERS = {"name": "refname", "updated": "creatordate", "version": "version:refname"}
_RESERVED_PREFIXES = ("-", "refs/heads/", "refs/remotes/", "refs/tags/")
_SHA_PREFIX = re.compile(r"[0-9a-f]{40}")


def find(call: Call, name: str) -> Tag | None:
    """Return the repository's tag with this name, or ``None``."""
    # for-each-ref would treat such a name as a pattern.
    if "*" in name or NEVER_IN_A_NAME.search(name):
        return None
    return next(iter(call.context.repository(call.project).tags(name)), None)


def make(call: Call, name: str, ref: str, message: str) -> Tag:
    """Create a tag as the call's user, annotated if it has a message; return it.

    Raises GitLab's 400 if the name or ref is invalid or a rule protects the tag.
    """
    repository = call.context.repository(call.project)
    if not _is_name(call, name):
        raise api.failed(400, "Tag name invalid")
    if find(call, name):
        raise api.failed(400, f"Tag {name} already exists")
    if name == call.project["default_branch"]:
        raise api.failed(400, "You cannot use default branch name to create a tag")
    if _SHA_PREFIX.match(name):
        raise api.failed(400, "You cannot create a tag with a SHA-1 or SHA-256 tag name.")
    if not may_create(call.store, call.project, name, call.user, call.role):
        raise api.failed(400, REFUSED)
    sha = repository.resolve(ref)
    if sha is None:
        raise api.failed(400, f"Target {ref} is invalid")
    try:
        repository.set_tag(name, sha, message=message.strip(), tagger=(call.user["name"], call.user["email"]))
    except ToolFailed:
        raise api.failed(400, f"Failed to create a tag: {name}") from None
    return repository.tags(name)[0]


def _is_name(call: Call, name: str) -> bool:
    if NEVER_IN_A_NAME.search(name) or name.startswith(_RESERVED_PREFIXES) or name == "HEAD":
        return False
    try:
        call.context.repository(call.project).git("check-ref-format", f"refs/tags/{name}")
    except ToolFailed:
        return False
    return True


def _show(call: Call, tag: Tag) -> Document:
    release = call.store.find("release", tag.name, project=call.project["id"])
    return {
        "name": tag.name,
        "message": None if tag.message is None else tag.message.rstrip("\n"),
        "target": tag.target,
        "commit": call.context.repository(call.project).one(tag.commit) if tag.commit else None,
        "release": {key: release[key] for key in ("tag_name", "description")} if release else None,
        "protected": bool(protection(call.store, call.project, tag.name)),
        "created_at": tag.created_at,
    }


def _list(call: Call) -> Any:
    order = _ORDERS[call.choice("order_by", tuple(_ORDERS), "updated")]
    sign = "-" if call.choice("sort", ("asc", "desc"), "desc") == "desc" else ""
    search = str(call.params.get("search") or "")
    tags = call.context.repository(call.project).tags(order=sign + order)
    return Page([tag for tag in tags if _matches(search, tag.name)], partial(_show, call))


def _matches(search: str, name: str) -> bool:
    """Return whether a name contains the search text; ``^`` and ``$`` anchor the text to start and end."""
    term, name = search.lower(), name.lower()
    text = term.removeprefix("^").removesuffix("$")
    at_start, at_end = term.startswith("^"), term.endswith("$")
    if at_start and at_end:
        return name == text
    return name.startswith(text) if at_start else name.endswith(text) if at_end else text in name


def _find_or_404(call: Call) -> Tag:
    tag = find(call, call.path["tag_name"])
    if tag is None:
        raise api.not_found("Tag")
    return tag


def _one(call: Call) -> Any:
    return _show(call, _find_or_404(call))


def _create(call: Call) -> Any:
    name, ref = str(call.need("tag_name")), str(call.need("ref"))
    tag = make(call, name, ref, call.text("message") or "")
    sync_refs(call.context, call.project, call.user)
    return api.Answer(_show(call, tag), 201)


def _delete(call: Call) -> Any:
    tag = _find_or_404(call)
    if protection(call.store, call.project, tag.name) and (
        call.role < MAINTAINER or not may_create(call.store, call.project, tag.name, call.user, call.role)
    ):
        raise api.forbidden()
    call.context.repository(call.project).git("update-ref", "-d", f"refs/tags/{tag.name}", tag.target)
    release = call.store.find("release", tag.name, project=call.project["id"])
    if release:
        links.forget(call.store, release)
    sync_refs(call.context, call.project, call.user)


_TAGS = "/projects/{id}/repository/tags"

ROUTES = (
    Route("GET", _TAGS, _list),
    Route("POST", _TAGS, _create, DEVELOPER),
    Route("GET", _TAGS + "/{tag_name}", _one),
    Route("DELETE", _TAGS + "/{tag_name}", _delete, DEVELOPER),
)
