"""The links of a release to assets outside the repository (docs: Release links API)."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from factory.local_gitlab.refs.protected_tags import may_create
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store

TYPES = ("other", "runbook", "image", "package")
_PATH = re.compile(r"/(?:[-.\w]+/?)*[\da-zA-Z]+", re.ASCII)
_LONGEST_PATH = 128


def of(store: Store, release: Document) -> list[Document]:
    """Return a release's links, newest first."""
    return list(reversed(store.all("release_link", _release=release["id"])))


def forget(store: Store, release: Document) -> None:
    """Delete a release with its links; the tag stays."""
    for link in of(store, release):
        store.delete("release_link", link)
    store.delete("release", release)


def read(given: Mapping[str, Any]) -> Document:
    """Return a link in its stored form from a request's parameters."""
    path = given.get("direct_asset_path") or given.get("filepath")
    return {
        "name": str(given.get("name") or ""),
        "url": str(given.get("url") or ""),
        "link_type": str(given.get("link_type") or "other"),
        "_filepath": str(path) if path else None,
    }


def faults(link: Document, others: list[Document]) -> list[str]:
    """Return GitLab's validation errors for a link of a release that already has ``others``."""
    found = [
        f"{name.strip('_').capitalize()} has already been taken"
        for name in ("url", "name", "_filepath")
        if link[name] and any(other[name] == link[name] for other in others)
    ]
    if urlsplit(link["url"]).scheme not in {"http", "https", "ftp"}:
        found.append("Url is blocked: Only allowed schemes are http, https, ftp")
    if link["_filepath"] and (len(link["_filepath"]) > _LONGEST_PATH or not _PATH.fullmatch(link["_filepath"])):
        found.append("Filepath is in an invalid format")
    if link["link_type"] not in TYPES:
        found.append("Link type is not included in the list")
    return found


def add(store: Store, project: Document, release: Document, link: Document) -> Document:
    """Store a link of a release; return it."""
    return store.add("release_link", link | {"_release": release["id"]}, project=project["id"])


def show(call: Call, release: Document, link: Document) -> Document:
    """Return a link as the API shows it."""
    tag = quote(release["tag_name"], safe="")
    direct = (
        f"{call.context.base_url}/{call.project['path_with_namespace']}/-/releases/{tag}/downloads{link['_filepath']}"
    )
    return api.public(link, "iid") | {"direct_asset_url": direct if link["_filepath"] else link["url"]}


def _release(call: Call) -> Document:
    return api.require(call.store.find("release", call.path["tag_name"], project=call.project["id"]))


def _own_release(call: Call) -> Document:
    release = _release(call)
    if not may_create(call.store, call.project, release["tag_name"], call.user, call.role):
        raise api.forbidden()
    return release


def _find(call: Call, release: Document) -> Document:
    links = of(call.store, release)
    return api.require(next((link for link in links if link["id"] == call.iid("link_id")), None))


def _list(call: Call) -> Any:
    release = _release(call)
    return Page([show(call, release, link) for link in of(call.store, release)])


def _one(call: Call) -> Any:
    release = _release(call)
    return show(call, release, _find(call, release))


def _create(call: Call) -> Any:
    release = _own_release(call)
    for name in ("name", "url"):
        call.need(name)
    call.choice("link_type", TYPES, "other")
    link = read(call.params)
    _refuse_faulty(link, of(call.store, release))
    return api.Answer(show(call, release, add(call.store, call.project, release, link)), 201)


def _change(call: Call) -> Any:
    release = _own_release(call)
    link = _find(call, release)
    if not call.params.get("name") and not call.params.get("url"):
        raise api.bad_request("name, url are missing, at least one parameter must be provided", key="error")
    call.choice("link_type", TYPES, "other")
    given = {"filepath": link["_filepath"]} | {key: value for key, value in call.params.items() if value}
    changed = link | read(link | given)
    _refuse_faulty(changed, [other for other in of(call.store, release) if other["id"] != link["id"]])
    return show(call, release, call.store.save("release_link", changed))


def _delete(call: Call) -> Any:
    release = _own_release(call)
    link = _find(call, release)
    call.store.delete("release_link", link)
    return show(call, release, link)


def _refuse_faulty(link: Document, others: list[Document]) -> None:
    found = faults(link, others)
    if found:
        raise api.failed(400, found)


_LINKS = "/projects/{id}/releases/{tag_name}/assets/links"

ROUTES = (
    Route("GET", _LINKS, _list),
    Route("POST", _LINKS, _create, DEVELOPER),
    Route("GET", _LINKS + "/{link_id}", _one),
    Route("PUT", _LINKS + "/{link_id}", _change, DEVELOPER),
    Route("DELETE", _LINKS + "/{link_id}", _delete, DEVELOPER),
)
