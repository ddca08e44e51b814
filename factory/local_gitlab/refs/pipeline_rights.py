"""Decides who may run, retry and cancel pipelines on a ref (docs: Protected branches, CI/CD; Protected tags)."""

from factory.local_gitlab.refs import protected_branches, protected_tags
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document, Store


def may_update(store: Store, project: Document, ref: str, user: Document, role: int, *, tag: bool) -> bool:
    """Return whether a user may run pipelines on a ref: needs push or merge rights to the branch, or create the tag."""
    if tag:
        return protected_tags.may_create(store, project, ref, user, role)
    return any(protected_branches.may(store, project, ref, action, user, role) for action in ("push", "merge"))


def need(call: Call, pipeline: Document) -> None:
    """Raise 403 if the caller may not run a pipeline; merge request pipelines never run on a protected ref."""
    ref, tag = pipeline["ref"], pipeline["tag"]
    if pipeline["_request"] is None and not may_update(call.store, call.project, ref, call.user, call.role, tag=tag):
        raise api.forbidden()
