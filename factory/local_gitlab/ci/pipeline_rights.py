"""Who runs, retries and cancels what runs on a ref (docs: Protected branches, CI/CD; Protected tags)."""

from factory.local_gitlab.refs import protected_branches, protected_tags
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document, Store


def may_update(store: Store, project: Document, ref: str, user: Document, role: int, *, tag: bool) -> bool:
    """Tell whether a user may run pipelines on a ref: who may push or merge to the branch, or make the tag."""
    if tag:
        return protected_tags.may_create(store, project, ref, user, role)
    return any(protected_branches.may(store, project, ref, action, user, role) for action in ("push", "merge"))


def need(call: Call, pipeline: Document) -> None:
    """Raise 403 where the caller may not run what a pipeline runs; a merge request's runs on no protected ref."""
    ref, tag = pipeline["ref"], pipeline["tag"]
    if pipeline["_request"] is None and not may_update(call.store, call.project, ref, call.user, call.role, tag=tag):
        raise api.forbidden()
