"""Releases: a tag with a name, release notes and asset links (docs: Releases API)."""

from datetime import UTC
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs.protected_tags import REFUSED, may_create
from factory.local_gitlab.releases import links as release_links
from factory.local_gitlab.releases import tags
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_FORMATS = ("zip", "tar.gz", "tar.bz2", "tar")


def _show(call: Call, release: Document) -> Document:
    tag = release["tag_name"]
    sources = _sources(call, tag)
    links = release_links.of(call.store, release)
    folder = f"/{call.project['path_with_namespace']}/-"
    return api.public(release, "id", "iid") | {
        "upcoming_release": clock.parse(release["released_at"]) > clock.now(),
        "author": by_id(call.context, release["_author"]),
        "commit": call.context.repository(call.project).one(release["_sha"]),
        "milestones": [],
        "commit_path": f"{folder}/commit/{release['_sha']}",
        "tag_path": f"{folder}/tags/{quote(tag)}",
        "assets": {
            "count": len(sources) + len(links),
            "sources": sources,
            "links": [release_links.show(call, release, link) for link in links],
        },
        "evidences": [],
        "_links": _links(call, tag),
    }


def _sources(call: Call, tag: str) -> list[Document]:
    url = f"{call.context.base_url}/{call.project['path_with_namespace']}/-/archive/{quote(tag)}"
    file = quote(f"{call.project['path']}-{tag.replace('/', '-')}")
    return [{"format": kind, "url": f"{url}/{file}.{kind}"} for kind in _FORMATS]


def _links(call: Call, tag: str) -> Document:
    url = f"{call.context.base_url}/{call.project['path_with_namespace']}/-"
    own = f"{url}/releases/{quote(tag, safe='')}"
    lists = [("issues", "opened"), ("issues", "closed")]
    lists += [("merge_requests", state) for state in ("opened", "merged", "closed")]
    found = {
        f"{state}_{kind}_url": f"{url}/{kind}?" + urlencode({"release_tag": tag, "scope": "all", "state": state})
        for kind, state in lists
    }
    return {"self": own, **found} | ({"edit_url": f"{own}/edit"} if call.role >= DEVELOPER else {})


def _sorted(call: Call, key: str, *, newest_first: bool) -> list[Document]:
    found = call.store.all("release", project=call.project["id"])
    return sorted(found, key=lambda release: (release[key], release["id"]), reverse=newest_first)


def _list(call: Call) -> Any:
    key = call.choice("order_by", ("released_at", "created_at"), "released_at")
    newest_first = call.choice("sort", ("asc", "desc"), "desc") == "desc"
    return Page(_sorted(call, key, newest_first=newest_first), partial(_show, call))


def _find(call: Call) -> Document | None:
    return call.store.find("release", call.path["tag_name"], project=call.project["id"])


def _one(call: Call) -> Any:
    return _show(call, api.require(_find(call)))


def _latest(call: Call) -> Any:
    """Redirect to the newest release; passes on all query parameters except ``order_by``."""
    found = _sorted(call, "released_at", newest_first=True)
    release = api.require(found[0] if found else None)
    query = urlencode({key: value for key, value in call.params.items() if key != "order_by"})
    place = f"/api/v4/projects/{call.project['id']}/releases/{quote(release['tag_name'], safe='')}"
    return api.Answer(status=302, headers={"Location": place + (f"?{query}" if query else "")})


def _create(call: Call) -> Any:
    name = str(call.need("tag_name"))
    links = _requested_links(call)
    released_at = _moment(call)
    if not may_create(call.store, call.project, name, call.user, call.role):
        raise api.failed(403, REFUSED)
    if call.store.find("release", name, project=call.project["id"]):
        raise api.conflict("Release already exists")
    _refuse_milestones(call)
    now = clock.timestamp()
    document = {
        "tag_name": name,
        "name": call.text("name") or name,
        "description": call.text("description"),
        "created_at": now,
        "released_at": released_at or now,
        "_author": call.user["id"],
        "_sha": _tagged(call, name),
    }
    release = call.store.add("release", document, project=call.project["id"], name=name)
    for link in links:
        release_links.add(call.store, call.project, release, link)
    return api.Answer(_show(call, release), 201)


def _tagged(call: Call, name: str) -> str:
    """Return the commit of the release's tag; creates a missing tag from ``ref``."""
    tag = tags.find(call, name)
    if tag is None:
        ref = call.text("ref")
        if not ref:
            raise api.unprocessable("Ref is not specified")
        tag = tags.make(call, name, ref, call.text("tag_message") or "")
        sync_refs(call.context, call.project, call.user)
    if tag.commit is None:
        raise api.failed(400, f"Target {tag.target} is invalid")
    return tag.commit


def _requested_links(call: Call) -> list[Document]:
    assets = call.params.get("assets") or {}
    items = assets.get("links") or [] if isinstance(assets, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise api.bad_request("assets is invalid", key="error")
    links: list[Document] = []
    for number, item in enumerate(items):
        for name in ("name", "url"):
            if not item.get(name):
                raise api.bad_request(f"assets[links][{number}][{name}] is missing", key="error")
        link = release_links.read(item)
        found = release_links.faults(link, links)
        if found:
            raise api.failed(400, "Validation failed: " + ", ".join(f"Links {reason}" for reason in found))
        links.append(link)
    return links


def _moment(call: Call) -> str | None:
    value = call.text("released_at")
    if not value:
        return None
    try:
        moment = clock.parse(value)
        return clock.iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise api.bad_request("released_at is invalid", key="error") from None


def _refuse_milestones(call: Call) -> None:
    """Raise 400 for milestones, which releases do not support here."""
    for key, title in (("milestones", "Milestone(s)"), ("milestone_ids", "Milestone id(s)")):
        values = call.strings(key)
        if values:
            raise api.failed(400, f"{title} not found: {', '.join(values)}")


def _own(call: Call) -> Document:
    """Return the release; raises 403 if the user may not change it or, as in GitLab, if it does not exist."""
    release = _find(call)
    if release is None or not may_create(call.store, call.project, release["tag_name"], call.user, call.role):
        raise api.forbidden()
    return release


def _change(call: Call) -> Any:
    release = _own(call)
    if tags.find(call, release["tag_name"]) is None:
        raise api.failed(404, "Tag does not exist")
    known = ("name", "description", "released_at", "milestones", "milestone_ids")
    if not any(key in call.params for key in known):
        raise api.failed(400, "params is empty")
    _refuse_milestones(call)
    changed = {
        "name": call.text("name") or (release["tag_name"] if "name" in call.params else release["name"]),
        "description": call.text("description") if "description" in call.params else release["description"],
        "released_at": _moment(call) or release["released_at"],
    }
    return _show(call, call.store.save("release", release | changed))


def _delete(call: Call) -> Any:
    release = _own(call)
    shown = _show(call, release)
    release_links.forget(call.store, release)
    return shown


_RELEASES = "/projects/{id}/releases"

ROUTES = (
    Route("GET", _RELEASES, _list),
    Route("POST", _RELEASES, _create, DEVELOPER),
    Route("GET", _RELEASES + "/permalink/latest", _latest),
    Route("GET", _RELEASES + "/{tag_name}", _one),
    Route("PUT", _RELEASES + "/{tag_name}", _change, DEVELOPER),
    Route("DELETE", _RELEASES + "/{tag_name}", _delete, DEVELOPER),
)
