"""Query parameters that lists share (docs: REST API, pagination and sorting)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def within(call: Call, documents: Sequence[Document], times: Sequence[str] = ("created", "updated")) -> list[Document]:
    """Filter by ``<time>_after`` and ``<time>_before`` for each of ``times``."""
    found = list(documents)
    for key in times:
        after, before = (moment(call, f"{key}_{side}") for side in ("after", "before"))
        found = [
            item
            for item in found
            if (after is None or clock.parse(item[f"{key}_at"]) >= after)
            and (before is None or clock.parse(item[f"{key}_at"]) <= before)
        ]
    return found


def moment(call: Call, name: str) -> datetime | None:
    """Return a parameter that is a time, or ``None`` without it; raises 400 if it is not a time."""
    text = call.params.get(name)
    try:
        found = clock.parse(str(text)) if text else None
    except ValueError:
        raise api.bad_request(f"{name} is invalid", key="error") from None
    # A time without a zone is UTC.
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def ordered(
    call: Call, documents: Sequence[Document], *, keys: Sequence[str], descending: bool = True
) -> list[Document]:
    """Sort by ``order_by``, one of ``keys`` (default: the first), and ``sort``; raises 400 for other values."""
    key = call.choice("order_by", keys, keys[0])
    order = call.choice("sort", ("asc", "desc"), "desc" if descending else "asc")
    return sorted(documents, key=lambda item: (item[key], item["id"]), reverse=order == "desc")
