"""Issues, and notes on issues and merge requests."""

from functools import partial
from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.issues import filters
from factory.local_gitlab.projects import milestones
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_UNSUPPORTED_FIELDS = (
    "assignee_id",
    "assignee_ids",
    "confidential",
    "created_at",
    "discussion_locked",
    "discussion_to_resolve",
    "due_date",
    "epic_id",
    "iid",
    "issue_type",
    "merge_request_to_resolve_discussions_of",
    "weight",
)
_LONGEST_TITLE = 255
NOTEABLES = {"issues": ("issue", "Issue"), "merge_requests": ("merge_request", "MergeRequest")}


def apply_labels(call: Call, document: Document) -> None:
    """Change an issue's or merge request's labels by ``labels``, ``add_labels`` and ``remove_labels``.

    On Premium, adding a scoped label ``k::v`` removes other labels of its scope (docs: Scoped labels).
    """
    labels = call.strings("labels")
    current: list[str] = list(document["labels"]) if labels is None else []
    for label in [*(labels or []), *(call.strings("add_labels") or [])]:
        if call.context.tier != "free" and "::" in label:
            scope = label.rsplit("::", 1)[0] + "::"
            current = [other for other in current if not other.startswith(scope)]
        if label not in current:
            current.append(label)
    removed = set(call.strings("remove_labels") or [])
    document["labels"] = sorted({label for label in current if label not in removed})


def show(context: Context, project: Document, issue: Document) -> Document:
    """Return an issue as the API shows it."""
    url = f"{context.base_url}/{project['path_with_namespace']}/-/issues/{issue['iid']}"
    notes = context.store.all("note", project=project["id"], noteable_id=issue["id"], noteable_type="Issue")
    return api.public(issue) | {
        "project_id": project["id"],
        "author": by_id(context, issue["_author"]),
        "closed_by": by_id(context, issue["_closed_by"]),
        "assignees": [],
        "assignee": None,
        "milestone": milestones.of(context, project, issue.get("_milestone")),
        "type": "ISSUE",
        "issue_type": "issue",
        "confidential": False,
        "due_date": None,
        "upvotes": 0,
        "downvotes": 0,
        "user_notes_count": sum(not note["system"] for note in notes),
        "web_url": url,
        "references": {
            "short": f"#{issue['iid']}",
            "relative": f"#{issue['iid']}",
            "full": f"{project['path_with_namespace']}#{issue['iid']}",
        },
        "_links": {"self": f"{context.api_url()}/projects/{project['id']}/issues/{issue['iid']}"},
    }


def title(call: Call) -> str:
    """Return the title of an issue or merge request; raises 400 if it is missing or too long (GitLab's limit)."""
    text = call.text("title") or str(call.need("title"))
    if len(text) > _LONGEST_TITLE:
        raise api.invalid({"title": [f"is too long (maximum is {_LONGEST_TITLE} characters)"]})
    return text


def _list(call: Call) -> Any:
    found = filters.listed(call, "issue", ("opened", "closed"))
    return Page(found, partial(show, call.context, call.project))


def _create(call: Call) -> Any:
    api.refuse_unsupported(call, _UNSUPPORTED_FIELDS)
    now = clock.timestamp()
    document = {
        "title": title(call),
        "description": call.text("description"),
        "state": "opened",
        "labels": [],
        "created_at": now,
        "updated_at": now,
        "closed_at": None,
        "_author": call.user["id"],
        "_closed_by": None,
        "_milestone": None,
    }
    document["_milestone"] = milestones.chosen(call, document)
    apply_labels(call, document)
    return api.Answer(
        show(call.context, call.project, call.store.add("issue", document, project=call.project["id"])), 201
    )


def _issue(call: Call) -> Document:
    return call.own("issue")


def _show(call: Call) -> Any:
    return show(call.context, call.project, _issue(call))


def _change(call: Call) -> Any:
    issue = _issue(call)
    if call.role < DEVELOPER and issue["_author"] != call.user["id"]:
        raise api.forbidden()
    api.refuse_unsupported(call, _UNSUPPORTED_FIELDS)
    event = call.choice("state_event", ("close", "reopen", "none"), "none")
    if "title" in call.params:
        issue["title"] = title(call)
    issue["description"] = call.text("description") if "description" in call.params else issue["description"]
    issue["_milestone"] = milestones.chosen(call, issue)
    apply_labels(call, issue)
    if event == "close" and issue["state"] == "opened":
        issue |= {"state": "closed", "closed_at": clock.timestamp(), "_closed_by": call.user["id"]}
    elif event == "reopen" and issue["state"] == "closed":
        issue |= {"state": "opened", "closed_at": None, "_closed_by": None}
    issue["updated_at"] = clock.timestamp()
    return show(call.context, call.project, call.store.save("issue", issue))


def _delete(call: Call) -> Any:
    call.store.delete("issue", _issue(call))


def noteable(call: Call) -> tuple[str, Document]:
    """Return the type and document of the issue or merge request in the path."""
    kind, name = NOTEABLES[call.path["noteable"]]
    return name, call.own(kind)


def _notes(call: Call) -> Any:
    name, target = noteable(call)
    notes = call.store.all("note", project=call.project["id"], noteable_id=target["id"], noteable_type=name)
    if call.choice("sort", ("asc", "desc"), "desc") == "desc":
        notes.reverse()
    return Page([show_note(call, note) for note in notes])


def show_note(call: Call, note: Document) -> Document:
    """Return a note as the API shows it."""
    shown = api.public(note, "iid") | {"author": by_id(call.context, note["_author"]), "project_id": call.project["id"]}
    if not note["resolvable"]:
        return shown
    return shown | {"resolved_by": by_id(call.context, note["_resolved_by"])}


def _create_note(call: Call) -> Any:
    return api.Answer(show_note(call, write_note(call, str(call.need("body")))), 201)


def write_note(call: Call, body: str, *, discussion: str | None = None) -> Document:
    """Store a note by the caller, in the thread ``discussion`` if set; threads of merge requests are resolvable."""
    name, target = noteable(call)
    now = clock.timestamp()
    document = {
        "type": "DiscussionNote" if discussion else None,
        "body": body,
        "system": False,
        "noteable_id": target["id"],
        "noteable_iid": target["iid"],
        "noteable_type": name,
        "created_at": now,
        "updated_at": now,
        "resolvable": bool(discussion) and name == "MergeRequest",
        "internal": call.flag("internal"),
        "_author": call.user["id"],
        "_discussion": discussion,
    }
    if document["resolvable"]:
        document |= {"resolved": False, "_resolved_by": None}
    note = call.store.add("note", document, project=call.project["id"])
    call.store.save(NOTEABLES[call.path["noteable"]][0], target | {"updated_at": now})
    return note


def _find_note(call: Call) -> Document:
    _, target = noteable(call)
    note = api.require(call.store.get("note", call.iid("note_id")))
    if note["noteable_id"] != target["id"]:
        raise api.not_found()
    return note


def _show_note(call: Call) -> Any:
    return show_note(call, _find_note(call))


def _change_note(call: Call) -> Any:
    note = _own_note(call)
    note |= {"body": str(call.need("body")), "updated_at": clock.timestamp()}
    return show_note(call, call.store.save("note", note))


def _delete_note(call: Call) -> Any:
    call.store.delete("note", _own_note(call))


def _own_note(call: Call) -> Document:
    note = _find_note(call)
    if note["_author"] != call.user["id"] and call.role < MAINTAINER:
        raise api.forbidden()
    return note


_NOTES = "/projects/{id}/{noteable:issues|merge_requests}/{iid}/notes"

ROUTES = (
    Route("GET", "/projects/{id}/issues", _list),
    Route("POST", "/projects/{id}/issues", _create),
    Route("GET", "/projects/{id}/issues/{iid}", _show),
    Route("PUT", "/projects/{id}/issues/{iid}", _change),
    Route("DELETE", "/projects/{id}/issues/{iid}", _delete, api.OWNER),
    Route("GET", _NOTES, _notes),
    Route("POST", _NOTES, _create_note),
    Route("GET", _NOTES + "/{note_id}", _show_note),
    Route("PUT", _NOTES + "/{note_id}", _change_note),
    Route("DELETE", _NOTES + "/{note_id}", _delete_note),
)
