"""Threads of notes on issues and merge requests, and their resolution (docs: Discussions API)."""

import secrets
from typing import Any

from factory.local_gitlab.issues import issues
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def thread(note: Document) -> str:
    """Return the id of a note's thread; an individual note is a thread by itself."""
    return str(note.get("_discussion") or f"{note['id']:040x}")


def unresolved(context: Context, project: Document, request: Document) -> bool:
    """Return whether a merge request has an unresolved thread."""
    notes = context.store.all(
        "note", project=project["id"], noteable_id=request["id"], noteable_type="MergeRequest", resolvable=True
    )
    return any(not note["resolved"] for note in notes)


def _threads(call: Call) -> dict[str, list[Document]]:
    name, target = issues.noteable(call)
    found: dict[str, list[Document]] = {}
    for note in call.store.all("note", project=call.project["id"], noteable_id=target["id"], noteable_type=name):
        found.setdefault(thread(note), []).append(note)
    return found


def _show(call: Call, key: str, notes: list[Document]) -> Document:
    alone = not notes[0].get("_discussion")
    return {"id": key, "individual_note": alone, "notes": [issues.show_note(call, note) for note in notes]}


def _list(call: Call) -> Any:
    return Page([_show(call, key, notes) for key, notes in _threads(call).items()])


def _find(call: Call) -> tuple[str, list[Document]]:
    key = call.path["discussion_id"]
    return key, api.require({"notes": found} if (found := _threads(call).get(key)) else None, "Discussion")["notes"]


def _one(call: Call) -> Any:
    return _show(call, *_find(call))


def _create(call: Call) -> Any:
    key = secrets.token_hex(20)
    note = issues.write_note(call, str(call.need("body")), discussion=key)
    return api.Answer(_show(call, key, [note]), 201)


def _answer(call: Call) -> Any:
    key, notes = _find(call)
    if not notes[0].get("_discussion"):
        # The first reply turns an individual note into a thread.
        call.store.save("note", notes[0] | {"_discussion": key, "type": "DiscussionNote"})
    note = issues.write_note(call, str(call.need("body")), discussion=key)
    if note["resolvable"] and notes[0].get("resolved"):
        note = call.store.save("note", note | {key: notes[0][key] for key in ("resolved", "_resolved_by")})
    return api.Answer(issues.show_note(call, note), 201)


def _resolve(call: Call) -> Any:
    key, notes = _find(call)
    call.need("resolved")
    if not any(note["resolvable"] for note in notes):
        raise api.failed(400, "400 Bad request - discussion is not resolvable")
    resolved = call.flag("resolved")
    by = call.user["id"] if resolved else None
    now = clock.timestamp()
    changed = [
        call.store.save("note", note | {"resolved": resolved, "_resolved_by": by, "updated_at": now}) for note in notes
    ]
    return _show(call, key, changed)


_ALL = "/projects/{id}/{noteable:issues|merge_requests}/{iid}/discussions"
_ONE = _ALL + "/{discussion_id}"
_OF_REQUEST = "/projects/{id}/{noteable:merge_requests}/{iid}/discussions/{discussion_id}"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("POST", _ALL, _create),
    Route("GET", _ONE, _one),
    Route("POST", _ONE + "/notes", _answer),
    Route("PUT", _OF_REQUEST, _resolve, DEVELOPER),
)
