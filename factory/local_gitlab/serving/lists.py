"""The parameters that lists share (docs: REST API, pagination and sorting)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def fresh(call: Call, documents: Sequence[Document]) -> list[Document]:
    """Return the documents that moved since ``updated_after``, all where it is not given."""
    moment = _since(call)
    return [item for item in documents if moment is None or clock.parse(item["updated_at"]) >= moment]


def _since(call: Call) -> datetime | None:
    """Return the moment that ``updated_after`` names, if it is given; raises 400 where it is none."""
    given = call.params.get("updated_after")
    try:
        moment = clock.parse(str(given)) if given else None
    except ValueError:
        raise api.bad_request("updated_after is invalid", key="error") from None
    # A time without a zone is UTC.
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def recent(call: Call, documents: Sequence[Document], *, newest_first: bool) -> list[Document]:
    """Return documents by ``updated_after``, ``order_by`` and ``sort``; raises 400 for values that GitLab refuses.

    ``newest_first`` is the order where ``sort`` is not given.
    """
    found = fresh(call, documents)
    key = call.choice("order_by", ("id", "created_at", "updated_at"), "id")
    order = call.choice("sort", ("asc", "desc"), "desc" if newest_first else "asc")
    return sorted(found, key=lambda item: (item[key], item["id"]), reverse=order == "desc")
