"""Lists of issues and merge requests: filters and order (docs: Issues API, Merge requests API)."""

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document


def listed(call: Call, kind: str, states: tuple[str, ...]) -> list[Document]:
    """Return the project's issues or merge requests that match the call's filters, in the requested order.

    Raises 400 for values that GitLab refuses.
    """
    state = call.choice("state", ("all", *states), "all")
    authors = _authors(call)
    found = [
        document
        for document in lists.within(call, call.store.all(kind, project=call.project["id"]))
        if state in {"all", document["state"]}
        and (authors is None or document["_author"] in authors)
        and _matches(call, document)
    ]
    keys = ("created_at", "updated_at", "title")
    return lists.ordered(call, found, keys=keys)


def _matches(call: Call, document: Document) -> bool:
    iids = {str(iid) for iid in call.strings("iids") or []}
    return (
        _has_labels(document, call.strings("labels") or [])
        and (not iids or str(document["iid"]) in iids)
        and str(call.params.get("search") or "").lower()
        in f"{document['title']} {document['description'] or ''}".lower()
    )


def _authors(call: Call) -> set[int] | None:
    """Return the ids of the authors that the call asks for, or ``None`` if it asks for all."""
    asked: list[set[int]] = []
    if call.params.get("author_id"):
        asked.append({api.as_int(call.params["author_id"], "author_id")})
    if call.params.get("author_username"):
        user = call.store.find("user", str(call.params["author_username"]))
        asked.append({user["id"]} if user else set())
    scope = call.choice("scope", ("all", "created_by_me", "assigned_to_me"), "all")
    if scope != "all":
        asked.append({call.user["id"]} if scope == "created_by_me" else set())
    return set.intersection(*asked) if asked else None


def _has_labels(document: Document, labels: list[str]) -> bool:
    """Return whether a document has all labels; ``None`` and ``Any`` ask for none and for any (docs: Issues API)."""
    if len(labels) == 1 and labels[0].lower() in {"none", "any"}:
        return bool(document["labels"]) is (labels[0].lower() == "any")
    return set(labels) <= set(document["labels"])
