"""The record of pushes: which account moved which branch or tag (docs: Events API)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import GUEST, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, files

ZERO = "0" * 40
# A push that moves more refs of one type in one way is one event without them (push_event_activities_limit).
_LIMIT = 3
_KEPT_SECONDS = 600
_NAMES = {"created": "pushed new", "pushed": "pushed to", "removed": "deleted"}
_OTHER_ACTIONS = frozenset({"created", "updated", "closed", "reopened", "commented", "merged", "joined", "left",
                            "destroyed", "expired", "approved"})  # fmt: skip


@dataclass(frozen=True)
class Move:
    """A ref that a push moved: its type (``branch`` or ``tag``), short name, old and new commit (zeros: none)."""

    kind: str
    name: str
    before: str
    after: str

    @property
    def ref(self) -> str:
        """The whole name of the ref."""
        return f"refs/{'heads' if self.kind == 'branch' else 'tags'}/{self.name}"

    @property
    def action(self) -> str:
        """GitLab's name of what happened to the ref."""
        return "created" if self.before == ZERO else "removed" if self.after == ZERO else "pushed"


def moves(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Move]:
    """Return the refs of one type that differ between two readings of name to commit."""
    return [
        Move(kind, name, before.get(name, ZERO), after.get(name, ZERO))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


@dataclass(frozen=True)
class Accepted:
    """A push over git that the pre-receive hook let pass: its user, its options, and the refs that it may move."""

    user: int
    options: tuple[str, ...]
    refs: Mapping[str, str]


def accepted(repository: Path, name: str) -> Accepted:
    """Return the push of one request; without refs if the hook refused it."""
    file, options, refs = repository / "pushes" / name, [], {}
    for line in files.read_text(file).splitlines() if file.exists() else ():
        kind, _, text = line.partition(" ")
        if kind == "option":
            options.append(text)
        else:
            refs[text] = kind
    return Accepted(int(name.partition(".")[0]), tuple(options), refs)


Pushes = Mapping[tuple[str, str], Accepted]
"""Accepted pushes by a ref's whole name and its commit."""


def latest(repository: Path) -> Pushes:
    """Return the accepted pushes of a repository; of several for one ref and commit the newest.

    Removes what is old, because a push that was accepted may be a moment from moving its ref.
    """
    found = {}
    for file in sorted((repository / "pushes").glob("*.*"), key=lambda file: file.stat().st_mtime):
        push = accepted(repository, file.name)
        found.update(dict.fromkeys(push.refs.items(), push))
        if file.stat().st_mtime < clock.after(-_KEPT_SECONDS).timestamp():
            file.unlink()
    return found


def record(context: Context, project: Document, moved: Sequence[Move], pushes: Pushes, other: Document | None) -> None:
    """Record who moved refs: for each ref the user whose push over git it was, else ``other``; ``None`` is unknown."""
    groups: dict[tuple[int, str, str], list[Move]] = {}
    for move in moved:
        push = pushes.get((move.ref, move.after))
        user = push.user if push else other["id"] if other else None
        if user is not None:
            groups.setdefault((user, move.kind, move.action), []).append(move)
    for (user, kind, action), found in groups.items():
        if len(found) > _LIMIT:
            data = _data(context, project, None) | {"action": action, "ref_type": kind, "ref_count": len(found)}
            _add(context, project, user, action, data)
            continue
        for move in found:
            _add(context, project, user, action, _data(context, project, move))


def _data(context: Context, project: Document, move: Move | None) -> Document:
    """Return an event's ``push_data``; a push that deletes a ref counts no commits."""
    empty: Document = {"commit_count": 0, "commit_from": None, "commit_to": None, "ref": None, "commit_title": None}
    if move is None:
        return empty
    before, after = (None if sha == ZERO else sha for sha in (move.before, move.after))
    given: Document = {
        "action": move.action,
        "ref_type": move.kind,
        "commit_from": before,
        "commit_to": after,
        "ref": move.name,
    }
    if after is not None:
        # What a new ref brings is what the default branch lacks; its own first push brings everything.
        main = project["_refs"].get(project["default_branch"])
        known = before or (main if main != after else None)
        titles = context.repository(project).git("log", "--format=%s", after, *([f"^{known}"] if known else []))
        given |= {"commit_count": len(titles.splitlines()), "commit_title": titles.partition("\n")[0] or None}
    return {**empty, **given, "ref_count": None}


def _add(context: Context, project: Document, user: int, action: str, data: Document) -> None:
    body = {"_user": user, "action_name": _NAMES[action], "created_at": clock.timestamp(), "push_data": data}
    context.store.add("event", body, project=project["id"])


def _list(call: Call) -> Page:
    """Return the project's pushes by ``before``, ``after`` (days) and ``sort``; other events are not recorded."""
    if call.choice("action", ("pushed", *_OTHER_ACTIONS), "created") != "pushed" or call.params.get("target_type"):
        raise api.unsupported("a list of events other than those of `action=pushed`")
    order = call.choice("sort", ("asc", "desc"), "desc")
    after, before = _day(call, "after"), _day(call, "before")
    found = [
        item
        for item in call.store.all("event", project=call.project["id"])
        if (after is None or clock.parse(item["created_at"]).date() > after)
        and (before is None or clock.parse(item["created_at"]).date() < before)
    ]
    found.sort(key=lambda item: item["id"], reverse=order == "desc")
    return Page([_shown(call, item) for item in found])


def _day(call: Call, name: str) -> date | None:
    text = call.params.get(name)
    try:
        return date.fromisoformat(str(text)[:10]) if text else None
    except ValueError:
        raise api.bad_request(f"{name} is invalid", key="error") from None


def _shown(call: Call, event: Document) -> Document:
    user = accounts.by_id(call.context, event["_user"]) or {}
    target = {f"target_{name}": None for name in ("id", "iid", "type", "title")}
    shown = {key: event[key] for key in ("id", "action_name", "created_at", "push_data")}
    return {
        **shown,
        **target,
        "title": None,
        "project_id": call.project["id"],
        "author_id": event["_user"],
        "author": user,
        "author_username": user.get("username"),
        "imported": False,
        "imported_from": "none",
    }


ROUTES = (Route("GET", "/projects/{id}/events", _list, GUEST),)
