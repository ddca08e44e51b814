"""Query parameters that lists share (docs: REST API, pagination and sorting)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def fresh(call: Call, documents: Sequence[Document]) -> list[Document]:
    """Return the documents that changed since ``updated_after``; all of them without that parameter."""
    moment = _moment(call, "updated_after")
    return [item for item in documents if moment is None or clock.parse(item["updated_at"]) >= moment]


def within(call: Call, documents: Sequence[Document]) -> list[Document]:
    """Filter by ``created_after``, ``created_before``, ``updated_after`` and ``updated_before``."""
    found = list(documents)
    for key in ("created", "updated"):
        after, before = (_moment(call, f"{key}_{side}") for side in ("after", "before"))
        found = [
            item
            for item in found
            if (after is None or clock.parse(item[f"{key}_at"]) >= after)
            and (before is None or clock.parse(item[f"{key}_at"]) <= before)
        ]
    return found


def _moment(call: Call, name: str) -> datetime | None:
    """Return a parameter that is a time, or ``None`` without it; raises 400 if it is not a time."""
    text = call.params.get(name)
    try:
        moment = clock.parse(str(text)) if text else None
    except ValueError:
        raise api.bad_request(f"{name} is invalid", key="error") from None
    # A time without a zone is UTC.
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def recent(call: Call, documents: Sequence[Document], *, newest_first: bool) -> list[Document]:
    """Filter by ``updated_after`` and sort by ``order_by`` and ``sort``; raises 400 for values that GitLab refuses.

    ``newest_first`` is the order without ``sort``.
    """
    keys = ("id", "created_at", "updated_at")
    return ordered(call, fresh(call, documents), keys=keys, descending=newest_first)


def ordered(
    call: Call, documents: Sequence[Document], *, keys: Sequence[str], descending: bool = True
) -> list[Document]:
    """Sort by ``order_by``, one of ``keys`` (default: the first), and ``sort``; raises 400 for other values."""
    key = call.choice("order_by", keys, keys[0])
    order = call.choice("sort", ("asc", "desc"), "desc" if descending else "asc")
    return sorted(documents, key=lambda item: (item[key], item["id"]), reverse=order == "desc")
