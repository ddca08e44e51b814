"""What webhooks are told of (docs: Webhook events): from a document that changed to the event and its payload.

``user`` is who made the request that changed it, or whose pipeline it is; an e-mail address is never told.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from factory.local_gitlab.accounts.accounts import brief
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Change, Document

_ZERO = "0" * 40
# GitLab docs: Webhook events, push events: the newest twenty commits.
_COMMITS = 20
_LEVELS = {"private": 0, "internal": 10, "public": 20}
_STATES = {("opened", "closed"): "close", ("closed", "opened"): "reopen", ("opened", "merged"): "merge"}


@dataclass(frozen=True)
class Event:
    """An event: the hook's flag that asks for it, GitLab's name of it, what is sent, and the branch of a push."""

    flag: str
    title: str
    payload: Document
    branch: str | None = None


@dataclass(frozen=True)
class _Change:
    """A change with what every payload is made of."""

    context: Context
    project: Document
    before: Document | None
    after: Document
    actor: int | None

    @property
    def url(self) -> str:
        return f"{self.context.base_url}/{self.project['path_with_namespace']}"

    def user(self, number: int | None = None) -> Document:
        found = self.context.store.get("user", number or self.actor or self.project["creator_id"])
        return {**(brief(self.context, found) or {}), "email": "[REDACTED]"}

    def frame(self, kind: str, number: int | None = None, **more: Any) -> Document:
        """Return what payloads of every kind have."""
        return {"object_kind": kind, "user": self.user(number), "project": self._project(), **more} | {
            "repository": {
                "name": self.project["name"],
                "url": f"{self.url}.git",
                "description": self.project["description"],
                "homepage": self.url,
            }
        }

    def _project(self) -> Document:
        project = self.project
        return {
            "id": project["id"],
            "name": project["name"],
            "description": project["description"],
            "web_url": self.url,
            "avatar_url": None,
            "git_ssh_url": None,
            "git_http_url": f"{self.url}.git",
            "namespace": project["_namespace"],
            "visibility_level": _LEVELS[project["visibility"]],
            "path_with_namespace": project["path_with_namespace"],
            "default_branch": project["default_branch"],
            "ci_config_path": project["ci_config_path"],
        }

    def moved(self) -> bool:
        """Tell whether the change is one of status, or the document is new."""
        return self.before is None or self.before["status"] != self.after["status"]

    def changes(self) -> Document:
        """Return each field that a client sees and that differs."""
        before = self.before or {}
        return {
            key: {"previous": before.get(key), "current": value}
            for key, value in self.after.items()
            if not key.startswith("_") and key not in {"id", "iid", "created_at"} and before.get(key) != value
        }

    def commit(self, sha: str) -> Document:
        found = self.context.repository(self.project).one(sha)
        author = {"name": found["author_name"], "email": found["author_email"]}
        keys = ("id", "message", "title")
        return {key: found[key] for key in keys} | {
            "timestamp": found["committed_date"],
            "url": f"{self.url}/-/commit/{sha}",
            "author": author,
        }


def of(context: Context, change: Change) -> Iterator[Event]:
    """Yield what a change is told as; nothing where nobody asks for its kind, or where nothing of it is told."""
    project = change.after if change.kind == "project" else context.store.get("project", change.project)
    if project is None or change.after is None or change.before == change.after:
        return
    yield from _KINDS[change.kind](_Change(context, project, change.before, change.after, change.actor))


def _pushes(told: _Change) -> Iterator[Event]:
    for key, kind, place in (("_refs", "push", "refs/heads"), ("_tags", "tag_push", "refs/tags")):
        if told.before is not None and key not in told.before:
            continue
        before, after = ((told.before or {}).get(key) or {}), told.after.get(key) or {}
        for name in sorted({*before, *after}):
            old, new = before.get(name, _ZERO), after.get(name, _ZERO)
            title = kind.replace("_", " ").title() + " Hook"
            if old != new:
                payload = _push(told, kind, f"{place}/{name}", old, new)
                yield Event(f"{kind}_events", title, payload, name if kind == "push" else None)


def _push(told: _Change, kind: str, ref: str, old: str, new: str) -> Document:
    user, repository = told.user(), told.context.repository(told.project)
    span = (new, f"^{old}") if old.strip("0") and repository.resolve(old) else (new,)
    commits = repository.commits(*span, limit=_COMMITS) if new.strip("0") else []
    frame = told.frame(kind, event_name=kind, ref=ref, before=old, after=new)
    del frame["user"]
    return frame | {
        "checkout_sha": new if new.strip("0") else None,
        "user_id": user["id"],
        "user_name": user["name"],
        "user_username": user["username"],
        "user_email": "",
        "user_avatar": user["avatar_url"],
        "project_id": told.project["id"],
        "commits": [told.commit(item["id"]) for item in reversed(commits)] if old.strip("0") else [],
        "total_commits_count": repository.count(*span) if old.strip("0") and commits else 0,
    }


def _issue(told: _Change) -> Iterator[Event]:
    if payload := _tracked(told, "issue", project_id=told.project["id"]):
        yield Event("issues_events", "Issue Hook", payload)


def _merge_request(told: _Change) -> Iterator[Event]:
    number, sha = told.project["id"], told.after["sha"]
    more = {"source_project_id": number, "target_project_id": number}
    more["last_commit"] = told.commit(sha) if sha else None
    before = (told.before or {}).get("sha")
    if before and before != sha:
        more["oldrev"] = before
    if payload := _tracked(told, "merge_request", **more):
        yield Event("merge_requests_events", "Merge Request Hook", payload)


def _tracked(told: _Change, kind: str, **more: Any) -> Document:
    """Return the payload of an issue or merge request, with ``more`` among its attributes; empty where none is told."""
    action = _action(told)
    if not action:
        return {}
    labels = [{"title": label} for label in told.after["labels"]]
    attributes = _shown(told.after) | {
        "author_id": told.after["_author"],
        "url": f"{told.url}/-/{kind}s/{told.after['iid']}",
        "labels": labels,
        "action": action,
        **more,
    }
    changes = told.changes()
    return told.frame(kind, event_type=kind, object_attributes=attributes, labels=labels, changes=changes)


def _action(told: _Change) -> str:
    """Return what became of an issue or merge request, by GitLab's word for it; nothing where only its time moved."""
    if told.before is None:
        return "open"
    given, taken = (len(item.get("_approved_by") or ()) for item in (told.after, told.before))
    if given != taken:
        return "approved" if given > taken else "unapproved"
    other = "update" if set(told.changes()) - {"updated_at"} else ""
    return _STATES.get((told.before["state"], told.after["state"]), other)


def _note(told: _Change) -> Iterator[Event]:
    if told.before is not None or told.after["system"]:
        return
    kind = "issue" if told.after["noteable_type"] == "Issue" else "merge_request"
    about = told.context.store.get(kind, told.after["noteable_id"]) or {}
    place = f"{told.url}/-/{kind}s/{about.get('iid')}"
    attributes = _shown(told.after) | {
        "note": told.after["body"],
        "author_id": told.after["_author"],
        "project_id": told.project["id"],
        "url": f"{place}#note_{told.after['id']}",
        "action": "create",
    }
    payload = told.frame("note", event_type="note", project_id=told.project["id"], object_attributes=attributes)
    yield Event("note_events", "Note Hook", payload | {kind: _shown(about)})


def _pipeline(told: _Change) -> Iterator[Event]:
    if not told.moved():
        return
    attributes = _shown(told.after) | {
        "detailed_status": told.after["status"],
        "variables": [],
        "url": f"{told.url}/-/pipelines/{told.after['id']}",
    }
    jobs = told.context.store.all("job", project=told.project["id"], _pipeline=told.after["id"])
    builds = [{key: job[key] for key in ("id", "stage", "name", "status")} for job in jobs]
    number = told.after["_request"]
    request = told.context.store.by_iid("merge_request", told.project["id"], number) if number else None
    payload = told.frame("pipeline", told.after["_user"], object_attributes=attributes)
    payload |= {"merge_request": _shown(request) if request else None, "commit": told.commit(told.after["sha"])}
    yield Event("pipeline_events", "Pipeline Hook", payload | {"builds": builds})


def _job(told: _Change) -> Iterator[Event]:
    if not told.moved():
        return
    job = told.after
    pipeline = told.context.store.get("pipeline", job["_pipeline"]) or {}
    keys = ("id", "name", "stage", "status", "created_at", "started_at", "finished_at", "duration", "failure_reason")
    payload = told.frame("build", job["_user"], **{key: pipeline[key] for key in ("ref", "tag", "before_sha", "sha")})
    payload |= {f"build_{key}": job[key] for key in keys}
    payload |= {"pipeline_id": pipeline["id"], "project_id": told.project["id"], "commit": told.commit(pipeline["sha"])}
    yield Event("job_events", "Job Hook", payload | {"environment": job["_environment"]})


def _deployment(told: _Change) -> Iterator[Event]:
    if not told.moved():
        return
    environment = told.context.store.get("environment", told.after["_environment"]) or {}
    payload = told.frame("deployment", told.after["_user"], status=told.after["status"])
    yield Event(
        "deployment_events",
        "Deployment Hook",
        payload
        | {
            "status_changed_at": told.after["updated_at"],
            "deployment_id": told.after["id"],
            "deployable_id": told.after["_job"],
            "deployable_url": f"{told.url}/-/jobs/{told.after['_job']}",
            "environment": environment.get("name"),
            "environment_external_url": environment.get("external_url"),
            "short_sha": told.after["sha"][:8],
            "ref": told.after["ref"],
            "commit_url": f"{told.url}/-/commit/{told.after['sha']}",
        },
    )


def _release(told: _Change) -> Iterator[Event]:
    after = told.after
    keys = ("id", "created_at", "description", "name", "released_at")
    payload = told.frame("release") | {key: after[key] for key in keys}
    payload |= {"tag": after["tag_name"], "action": "update" if told.before else "create"}
    payload |= {"url": f"{told.url}/-/releases/{after['tag_name']}"}
    yield Event("releases_events", "Release Hook", payload)


def _shown(document: Mapping[str, Any]) -> Document:
    """Return what of a document a client sees."""
    return {key: value for key, value in document.items() if not key.startswith("_")}


_KINDS: Mapping[str, Callable[[_Change], Iterator[Event]]] = {
    "project": _pushes,
    "issue": _issue,
    "note": _note,
    "merge_request": _merge_request,
    "pipeline": _pipeline,
    "job": _job,
    "deployment": _deployment,
    "release": _release,
}
KINDS = frozenset(_KINDS)
