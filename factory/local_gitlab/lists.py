"""The parameters that lists share (docs: REST API, pagination and sorting)."""

from collections.abc import Sequence

from factory.local_gitlab import web as api
from factory.local_gitlab.store import Document
from factory.local_gitlab.web import Call
from factory.system import clock


def recent(call: Call, documents: Sequence[Document], *, newest_first: bool) -> list[Document]:
    """Return documents by ``updated_after``, ``order_by`` and ``sort``; raises 400 for values that GitLab refuses.

    ``newest_first`` is the order where ``sort`` is not given.
    """
    since = call.params.get("updated_after")
    try:
        moment = clock.parse(str(since)) if since else None
        found = [item for item in documents if moment is None or clock.parse(item["updated_at"]) >= moment]
    except (ValueError, TypeError):
        raise api.bad_request("updated_after is invalid", key="error") from None
    key = call.choice("order_by", ("id", "created_at", "updated_at"), "id")
    order = call.choice("sort", ("asc", "desc"), "desc" if newest_first else "asc")
    return sorted(found, key=lambda item: (item[key], item["id"]), reverse=order == "desc")
