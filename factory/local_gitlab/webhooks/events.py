"""Builds webhook events and payloads from changed documents (docs: Webhook events).

``user`` in a payload is the user of the request, or of the pipeline. Users' e-mail addresses are redacted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from factory.local_gitlab.accounts.accounts import brief
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Change, Document

_ZERO = "0" * 40
# GitLab docs: Webhook events, push events: at most the newest 20 commits.
_COMMITS = 20
_LEVELS = {"private": 0, "internal": 10, "public": 20}
_STATES = {("opened", "closed"): "close", ("closed", "opened"): "reopen", ("opened", "merged"): "merge"}


@dataclass(frozen=True)
class Event:
    """An event: the hook's flag for it, GitLab's title, the payload, and the branch of a push."""

    flag: str
    title: str
    payload: Document
    branch: str | None = None


@dataclass(frozen=True)
class _Change:
    """A change, with helpers for its payload."""

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
        """Return the fields that all payloads share."""
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
        """Return whether the status changed or the document is new."""
        return self.before is None or self.before["status"] != self.after["status"]

    def changes(self) -> Document:
        """Return the public fields that differ, with their previous and current values."""
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
    """Yield the events of a change; none if it changed nothing that has an event."""
    project = change.after if change.kind == "project" else context.store.get("project", change.project)
    if project is None or change.after is None or change.before == change.after:
        return
    yield from _KINDS[change.kind](_Change(context, project, change.before, change.after, change.actor))


def _pushes(change: _Change) -> Iterator[Event]:
    for key, kind, place in (("_refs", "push", "refs/heads"), ("_tags", "tag_push", "refs/tags")):
        if change.before is not None and key not in change.before:
            continue
        before, after = ((change.before or {}).get(key) or {}), change.after.get(key) or {}
        for name in sorted({*before, *after}):
            old, new = before.get(name, _ZERO), after.get(name, _ZERO)
            title = kind.replace("_", " ").title() + " Hook"
            if old != new:
                payload = _push(change, kind, f"{place}/{name}", old, new)
                yield Event(f"{kind}_events", title, payload, name if kind == "push" else None)


def _push(change: _Change, kind: str, ref: str, old: str, new: str) -> Document:
    user, repository = change.user(), change.context.repository(change.project)
    span = (new, f"^{old}") if old.strip("0") and repository.resolve(old) else (new,)
    commits = repository.commits(*span, limit=_COMMITS) if new.strip("0") else []
    frame = change.frame(kind, event_name=kind, ref=ref, before=old, after=new)
    del frame["user"]
    return frame | {
        "checkout_sha": new if new.strip("0") else None,
        "user_id": user["id"],
        "user_name": user["name"],
        "user_username": user["username"],
        "user_email": "",
        "user_avatar": user["avatar_url"],
        "project_id": change.project["id"],
        "commits": [change.commit(item["id"]) for item in reversed(commits)] if old.strip("0") else [],
        "total_commits_count": repository.count(*span) if old.strip("0") and commits else 0,
    }


def _issue(change: _Change) -> Iterator[Event]:
    if payload := _tracked(change, "issue", project_id=change.project["id"]):
        yield Event("issues_events", "Issue Hook", payload)


def _merge_request(change: _Change) -> Iterator[Event]:
    number, sha = change.project["id"], change.after["sha"]
    more = {"source_project_id": number, "target_project_id": number}
    more["last_commit"] = change.commit(sha) if sha else None
    before = (change.before or {}).get("sha")
    if before and before != sha:
        more["oldrev"] = before
    if payload := _tracked(change, "merge_request", **more):
        yield Event("merge_requests_events", "Merge Request Hook", payload)


def _tracked(change: _Change, kind: str, **more: Any) -> Document:
    """Return the payload of an issue or merge request with the extra attributes ``more``; empty if it has no event."""
    action = _action(change)
    if not action:
        return {}
    labels = [{"title": label} for label in change.after["labels"]]
    attributes = _shown(change.after) | {
        "author_id": change.after["_author"],
        "url": f"{change.url}/-/{kind}s/{change.after['iid']}",
        "labels": labels,
        "action": action,
        **more,
    }
    changes = change.changes()
    return change.frame(kind, event_type=kind, object_attributes=attributes, labels=labels, changes=changes)


def _action(change: _Change) -> str:
    """Return GitLab's action for a change of an issue or merge request; empty if only ``updated_at`` changed."""
    if change.before is None:
        return "open"
    now, earlier = (len(item.get("_approved_by") or ()) for item in (change.after, change.before))
    if now != earlier:
        return "approved" if now > earlier else "unapproved"
    other = "update" if set(change.changes()) - {"updated_at"} else ""
    return _STATES.get((change.before["state"], change.after["state"]), other)


def _note(change: _Change) -> Iterator[Event]:
    if change.before is not None or change.after["system"]:
        return
    kind = "issue" if change.after["noteable_type"] == "Issue" else "merge_request"
    about = change.context.store.get(kind, change.after["noteable_id"]) or {}
    place = f"{change.url}/-/{kind}s/{about.get('iid')}"
    attributes = _shown(change.after) | {
        "note": change.after["body"],
        "author_id": change.after["_author"],
        "project_id": change.project["id"],
        "url": f"{place}#note_{change.after['id']}",
        "action": "create",
    }
    payload = change.frame("note", event_type="note", project_id=change.project["id"], object_attributes=attributes)
    yield Event("note_events", "Note Hook", payload | {kind: _shown(about)})


def _pipeline(change: _Change) -> Iterator[Event]:
    if not change.moved():
        return
    attributes = _shown(change.after) | {
        "detailed_status": change.after["status"],
        "variables": [],
        "url": f"{change.url}/-/pipelines/{change.after['id']}",
    }
    jobs = change.context.store.all("job", project=change.project["id"], _pipeline=change.after["id"])
    builds = [{key: job[key] for key in ("id", "stage", "name", "status")} for job in jobs]
    number = change.after["_request"]
    request = change.context.store.by_iid("merge_request", change.project["id"], number) if number else None
    payload = change.frame("pipeline", change.after["_user"], object_attributes=attributes)
    payload |= {"merge_request": _shown(request) if request else None, "commit": change.commit(change.after["sha"])}
    yield Event("pipeline_events", "Pipeline Hook", payload | {"builds": builds})


def _job(change: _Change) -> Iterator[Event]:
    if not change.moved():
        return
    job = change.after
    pipeline = change.context.store.get("pipeline", job["_pipeline"]) or {}
    keys = ("id", "name", "stage", "status", "created_at", "started_at", "finished_at", "duration", "failure_reason")
    payload = change.frame("build", job["_user"], **{key: pipeline[key] for key in ("ref", "tag", "before_sha", "sha")})
    payload |= {f"build_{key}": job[key] for key in keys}
    payload |= {
        "pipeline_id": pipeline["id"],
        "project_id": change.project["id"],
        "commit": change.commit(pipeline["sha"]),
    }
    yield Event("job_events", "Job Hook", payload | {"environment": job["_environment"]})


def _deployment(change: _Change) -> Iterator[Event]:
    if not change.moved():
        return
    environment = change.context.store.get("environment", change.after["_environment"]) or {}
    payload = change.frame("deployment", change.after["_user"], status=change.after["status"])
    yield Event(
        "deployment_events",
        "Deployment Hook",
        payload
        | {
            "status_changed_at": change.after["updated_at"],
            "deployment_id": change.after["id"],
            "deployable_id": change.after["_job"],
            "deployable_url": f"{change.url}/-/jobs/{change.after['_job']}",
            "environment": environment.get("name"),
            "environment_external_url": environment.get("external_url"),
            "short_sha": change.after["sha"][:8],
            "ref": change.after["ref"],
            "commit_url": f"{change.url}/-/commit/{change.after['sha']}",
        },
    )


def _release(change: _Change) -> Iterator[Event]:
    after = change.after
    keys = ("id", "created_at", "description", "name", "released_at")
    payload = change.frame("release") | {key: after[key] for key in keys}
    payload |= {"tag": after["tag_name"], "action": "update" if change.before else "create"}
    payload |= {"url": f"{change.url}/-/releases/{after['tag_name']}"}
    yield Event("releases_events", "Release Hook", payload)


def _shown(document: Mapping[str, Any]) -> Document:
    """Return a document's public fields."""
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
