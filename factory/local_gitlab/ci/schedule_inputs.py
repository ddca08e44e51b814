"""Inputs of pipeline schedules (docs: Pipeline schedules API); a schedule with inputs starts no pipeline here.

The server refuses definitions that declare inputs, and GitLab starts no pipeline with inputs that are not declared.
"""

from collections.abc import Sequence

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document

_KINDS = (str, bool, int, float, list)


def changed(call: Call, before: Sequence[Document]) -> list[Document]:
    """Return inputs after the request's changes: by name, each sets a value or, with ``destroy``, removes the input."""
    changes = call.params.get("inputs") or []
    if not isinstance(changes, list) or not all(_is_input(item) for item in changes):
        raise api.bad_request("inputs is invalid", key="error")
    found = {item["name"]: item["value"] for item in before}
    for item in changes:
        if item.get("destroy"):
            found.pop(item["name"], None)
        else:
            found[item["name"]] = item["value"]
    return [{"name": name, "value": value} for name, value in found.items()]


def _is_input(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return False
    return bool(item.get("destroy")) or isinstance(item.get("value"), _KINDS)
