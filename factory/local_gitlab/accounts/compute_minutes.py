"""Compute minutes of a namespace: its limit, and what its jobs spent on instance runners this month.

As on GitLab, nothing is counted in a namespace without a limit.
"""

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_LIMIT, _EXTRA = "shared_runners_minutes_limit", "extra_shared_runners_minutes_limit"


def shown(store: Store, namespace: Document) -> dict[str, object]:
    """Return the fields of a namespace that its owners see."""
    limit, extra = namespace.get(f"_{_LIMIT}"), namespace.get(f"_{_EXTRA}")
    total = _spent(store, namespace["full_path"]) if limit else 0
    monthly = min(total, limit or 0)
    used = {"total_minutes_used": total, "monthly_minutes_used": monthly, "purchased_minutes_used": total - monthly}
    return {_LIMIT: limit, _EXTRA: extra, "ci_minutes_usage": used}


def changed(call: Call, namespace: Document) -> Document:
    """Return a namespace with the requested limits; raises 400 for a value that is not a number."""
    given = [name for name in (_LIMIT, _EXTRA) if name in call.params]
    if not given:
        raise api.bad_request("at least one parameter must be provided", key="error")
    return namespace | {f"_{name}": None if call.params[name] in (None, "") else call.integer(name) for name in given}


def _spent(store: Store, path: str) -> int:
    """Return the minutes of the jobs that instance runners finished this month in a namespace and those below it."""
    month = clock.timestamp()[:7]
    hosted = {item["id"] for item in store.all("runner") if item["runner_type"] == "instance_type"}
    seconds = sum(
        job["duration"] or 0
        for project in store.all("project")
        if project["_namespace"] == path or project["_namespace"].startswith(f"{path}/")
        for job in store.all("job", project=project["id"])
        if str(job["finished_at"]).startswith(month) and job["runner"] and job["runner"]["id"] in hosted
    )
    return int(seconds // 60)
