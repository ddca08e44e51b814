"""A project's milestones, and the milestone of an issue (docs: Project milestones API)."""

from datetime import date, datetime
from typing import Any

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_KIND = "milestone"
_EVENTS = {"close": "closed", "activate": "active"}


def show(context: Context, project: Document, milestone: Document) -> Document:
    """Return a milestone as the API shows it."""
    due = milestone["due_date"]
    path = f"{project['path_with_namespace']}/-/milestones/{milestone['iid']}"
    return api.public(milestone) | {
        "project_id": project["id"],
        "expired": bool(due) and date.fromisoformat(due) < clock.now().date(),
        "web_url": f"{context.base_url}/{path}",
    }


def of(context: Context, project: Document, number: int | None) -> Document | None:
    """Return an issue's milestone as the API shows it, or ``None``."""
    found = context.store.get(_KIND, number) if number else None
    return show(context, project, found) if found else None


def chosen(call: Call, document: Document) -> int | None:
    """Return the milestone id that a request sets; 0, an empty value or an unknown id removes the milestone."""
    if "milestone_id" not in call.params:
        return document.get("_milestone")
    number = api.as_int(call.params["milestone_id"] or 0, "milestone_id")
    mine = {item["id"] for item in call.store.all(_KIND, project=call.project["id"])}
    return number if number in mine else None


def _find(call: Call) -> Document:
    found = call.store.get(_KIND, call.iid("milestone_id"))
    mine = {item["id"] for item in call.store.all(_KIND, project=call.project["id"])}
    return api.require(found if found and found["id"] in mine else None)


def _list(call: Call) -> Any:
    state, title = call.params.get("state"), call.params.get("title")
    search = str(call.params.get("search") or "").lower()
    found = [
        item
        for item in call.store.all(_KIND, project=call.project["id"])
        if state in (None, item["state"])
        and title in (None, item["title"])
        and search in f"{item['title']} {item['description'] or ''}".lower()
    ]
    return Page([show(call.context, call.project, item) for item in reversed(found)])


def _create(call: Call) -> Any:
    now = clock.timestamp()
    title = str(call.need("title"))
    _refuse_taken(call, title)
    document = {
        "title": title,
        "description": call.text("description"),
        "state": "active",
        "created_at": now,
        "updated_at": now,
        "due_date": _day(call, "due_date", None),
        "start_date": _day(call, "start_date", None),
    }
    milestone = call.store.add(_KIND, document, project=call.project["id"], name=title)
    return api.Answer(show(call.context, call.project, milestone), 201)


def _show(call: Call) -> Any:
    return show(call.context, call.project, _find(call))


def _change(call: Call) -> Any:
    found = _find(call)
    title = call.text("title") or found["title"]
    if title != found["title"]:
        _refuse_taken(call, title)
    event = call.choice("state_event", ("close", "activate", "none"), "none")
    found |= {
        "title": title,
        "description": call.text("description") if "description" in call.params else found["description"],
        "state": _EVENTS.get(event, found["state"]),
        "due_date": _day(call, "due_date", found["due_date"]),
        "start_date": _day(call, "start_date", found["start_date"]),
        "updated_at": clock.timestamp(),
    }
    call.store.rename(_KIND, found, title)
    return show(call.context, call.project, call.store.save(_KIND, found))


def _delete(call: Call) -> Any:
    call.store.delete(_KIND, _find(call))


def _refuse_taken(call: Call, title: str) -> None:
    if call.store.find(_KIND, title, project=call.project["id"]):
        raise api.invalid({"title": ["already being used for another group or project milestone."]})


def _day(call: Call, name: str, known: str | None) -> str | None:
    if name not in call.params:
        return known
    text = call.text(name)
    try:
        return datetime.fromisoformat(text).date().isoformat() if text else None
    except ValueError:
        raise api.bad_request(f"{name} is invalid", key="error") from None


_ALL = "/projects/{id}/milestones"
_ONE = _ALL + "/{milestone_id}"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("POST", _ALL, _create, DEVELOPER),
    Route("GET", _ONE, _show),
    Route("PUT", _ONE, _change, DEVELOPER),
    Route("DELETE", _ONE, _delete, DEVELOPER),
)
