"""Opens, reads, approves and merges merge requests."""

from collections.abc import Sequence
from typing import Any

from factory.errors import Conflict
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Approval, Change, MergeRequest
from factory.system import clock


def read(item: Any) -> MergeRequest:
    """Return a merge request from GitLab's JSON."""
    return MergeRequest(
        iid=item["iid"],
        title=item["title"],
        description=item["description"] or "",
        state=item["state"],
        source_branch=item["source_branch"],
        target_branch=item["target_branch"],
        sha=item["sha"] or "",
        author=item["author"]["username"],
        labels=tuple(item["labels"]),
        detailed_merge_status=item["detailed_merge_status"],
        web_url=item["web_url"],
        created_at=item["created_at"],
        merged_by=(item.get("merge_user") or {}).get("username", ""),
        merged_at=item.get("merged_at") or "",
        draft=item["draft"],
        fork=item["source_project_id"] != item["target_project_id"],
        merged_as=tuple(item[name] for name in ("merge_commit_sha", "squash_commit_sha") if item.get(name)),
    )


def get(connection: Connection, iid: int) -> MergeRequest:
    """Return one merge request; raises ``NotFound``."""
    with translated(f"show merge request !{iid}"):
        return read(connection.project.mergerequests.get(iid).attributes)


def find(
    connection: Connection, *, state: str = "opened", source_branch: str | None = None, labels: Sequence[str] = ()
) -> list[MergeRequest]:
    """Return merge requests, oldest first."""
    query: dict[str, Any] = {"state": state, "order_by": "created_at", "sort": "asc", "labels": list(labels)}
    if source_branch:
        query["source_branch"] = source_branch
    with translated("list merge requests"):
        found = connection.project.mergerequests.list(**query, get_all=True, per_page=100)
        return [read(item.attributes) for item in found]


def merged_last(connection: Connection) -> list[MergeRequest]:
    """Return the 100 merge requests that changed last and are merged, newest first."""
    query: dict[str, Any] = {"state": "merged", "order_by": "updated_at", "sort": "desc", "per_page": 100}
    with translated("list merged merge requests"):
        return [read(item.attributes) for item in connection.project.mergerequests.list(**query, get_all=False)]


def open_once(
    connection: Connection, *, source: str, target: str, title: str, description: str, labels: Sequence[str]
) -> MergeRequest:
    """Return the branch's open or merged merge request; open one if there is none.

    It may be one that another client opened at the same time.
    """
    wanted = {
        "source_branch": source,
        "target_branch": target,
        "title": title,
        "description": description,
        "labels": list(labels),
        "remove_source_branch": True,
    }
    found = _between(connection, source, target)
    if found is not None:
        return found
    try:
        with translated(f"open a merge request for {source}"):
            return read(connection.project.mergerequests.create(wanted).attributes)
    except Conflict:
        found = _between(connection, source, target)
        if found is None:
            raise
        return found


def _between(connection: Connection, source: str, target: str) -> MergeRequest | None:
    """Return the newest merge request between two branches that is not closed."""
    found = find(connection, source_branch=source, state="all")
    return next((item for item in found if item.target_branch == target and item.state != "closed"), None)


def relabel(connection: Connection, iid: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Add and remove labels of a merge request."""
    body = {"add_labels": ",".join(add), "remove_labels": ",".join(remove)}
    with translated(f"label merge request !{iid}"):
        connection.client.http_put(f"{connection.api}/merge_requests/{iid}", post_data=body)


def commits(connection: Connection, iid: int) -> list[str]:
    """Return the SHAs of a merge request's commits, newest first."""
    path = f"{connection.api}/merge_requests/{iid}/commits"
    with translated(f"list the commits of !{iid}"):
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        return [item["id"] for item in found]


def changes(connection: Connection, iid: int) -> list[Change]:
    """Return a merge request's changed files."""
    path = f"{connection.api}/merge_requests/{iid}/diffs"
    with translated(f"show the diff of !{iid}"):
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        keys = ("old_path", "new_path", "diff", "new_file", "deleted_file")
        return [Change(**{key: item[key] for key in keys}) for item in found]


def close(connection: Connection, iid: int) -> None:
    """Close a merge request without merging it; a closed one stays closed."""
    with translated(f"close !{iid}"):
        connection.client.http_put(f"{connection.api}/merge_requests/{iid}", post_data={"state_event": "close"})


def approvals(connection: Connection, iid: int) -> list[Approval]:
    """Return the approvals of the merge request's current head.

    Approvals from before the head was pushed are left out, because only Premium can remove them on a push. An approval
    without a time counts; there, the setting ``reset_approvals_on_push`` must be on.
    """
    path = f"{connection.api}/merge_requests/{iid}"
    with translated(f"show the approvals of !{iid}"):
        found: Any = connection.client.http_get(f"{path}/approvals")
        given = [Approval(item["user"]["username"], item.get("approved_at") or "") for item in found["approved_by"]]
        if not given:
            return []
        newest: Any = connection.client.http_get(f"{path}/versions", query_data={"per_page": 1})
        since = clock.parse(newest[0]["created_at"]) if newest else None
    return [item for item in given if not (item.at and since) or clock.parse(item.at) >= since]


def approve(connection: Connection, iid: int, *, sha: str) -> None:
    """Approve exactly ``sha``; raises ``Conflict`` if the head has changed.

    First revokes an earlier approval by this account: GitLab accepts only one, and Free keeps it after a push.
    """
    path = f"{connection.api}/merge_requests/{iid}"
    with translated(f"approve !{iid}"):
        found: Any = connection.client.http_get(f"{path}/approvals")
        if any(item["user"]["username"] == connection.account for item in found["approved_by"]):
            connection.client.http_post(f"{path}/unapprove")
        connection.client.http_post(f"{path}/approve", post_data={"sha": sha})


def merge(connection: Connection, iid: int, *, sha: str) -> MergeRequest:
    """Merge exactly ``sha``; raises ``Conflict`` if the head has changed, ``Refused`` if a check is missing."""
    with translated(f"merge !{iid}"):
        path = f"{connection.api}/merge_requests/{iid}/merge"
        body = {"sha": sha, "should_remove_source_branch": True}
        return read(connection.client.http_put(path, post_data=body))
