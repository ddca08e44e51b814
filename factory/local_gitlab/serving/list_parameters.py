"""Query parameters of lists that GitLab documents: those that this server refuses, and the values that others take.

A filter that is ignored would answer with what nobody asked for. Names that GitLab does not document have no effect
there either. What neither table names is honoured (docs: the API page of each resource).
"""

from collections.abc import Mapping

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call

_PROJECT = "/projects/{id}"
_ISSUABLES = (
    "assignee_id",
    "assignee_username",
    "in",
    "milestone",
    "milestone_id",
    "my_reaction_emoji",
    "not",
    "with_labels_details",
)
_JOB_STATUSES = (
    *("created", "waiting_for_resource", "preparing", "pending", "running", "success"),
    *("failed", "canceling", "canceled", "skipped", "manual", "scheduled"),
)
_PIPELINE_SOURCES = (
    *("push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide"),
    *("merge_request_event", "external_pull_request_event", "parent_pipeline", "ondemand_dast_scan"),
    *("ondemand_dast_validation", "security_orchestration_policy", "container_registry_push", "duo_workflow"),
)
_VISIBILITIES = ("private", "internal", "public")

REFUSED: Mapping[str, tuple[str, ...]] = {
    f"{_PROJECT}/issues": (
        *_ISSUABLES,
        *("confidential", "crm_contact_id", "crm_organization_id", "cursor", "due_date", "epic_id", "health_status"),
        *("issue_type", "iteration_id", "iteration_title", "non_archived", "weight", "with_custom_attributes"),
    ),
    f"{_PROJECT}/merge_requests": (
        *_ISSUABLES,
        *("approved", "approved_by_ids", "approved_by_usernames", "approver_ids", "deployed_after", "deployed_before"),
        *("environment", "merge_user_id", "merge_user_username", "merged_after", "merged_before", "non_archived"),
        *("render_html", "reviewer_id", "reviewer_username", "source_project_id", "view", "wip"),
    ),
    f"{_PROJECT}/merge_requests/{{iid}}": (
        *("include_diverged_commits_count", "include_rebase_in_progress", "render_html"),
    ),
    f"{_PROJECT}/pipelines": ("name", "scope", "yaml_errors"),
    "/projects": (
        *("active", "custom_attributes", "id_after", "id_before", "imported", "include_hidden"),
        *(
            "include_pending_delete",
            "last_activity_after",
            "last_activity_before",
            "marked_for_deletion_on",
            "repository_checksum_failed",
        ),
        *("repository_storage", "starred", "statistics", "topic", "topic_id", "updated_after", "updated_before"),
        *("wiki_checksum_failed", "with_custom_attributes", "with_programming_language"),
    ),
    "/users": (
        *("auditors", "custom_attributes", "exclude_active", "exclude_external", "exclude_humans"),
        *("exclude_internal", "extern_uid", "external", "humans", "provider", "public_email", "saml_provider_id"),
        *("skip_ldap", "two_factor", "with_custom_attributes", "without_project_bots", "without_projects"),
    ),
    "/groups": (
        *("active", "all_available", "archived", "custom_attributes", "marked_for_deletion_on"),
        *("repository_storage", "statistics", "with_custom_attributes"),
    ),
    "/namespaces": ("full_path_search", "owned_only", "top_level_only"),
    f"{_PROJECT}/members": ("show_seat_info", "skip_users"),
    f"{_PROJECT}/members/all": ("show_seat_info", "state"),
    f"{_PROJECT}/repository/branches": ("page_token",),
    f"{_PROJECT}/repository/tags": ("page_token",),
    f"{_PROJECT}/repository/commits": ("follow", "trailers", "with_stats"),
    f"{_PROJECT}/repository/commits/{{sha}}/statuses": ("all", "order_by", "ref", "sort", "stage"),
    f"{_PROJECT}/repository/tree": ("page_token",),
    f"{_PROJECT}/deployments": ("finished_after", "finished_before"),
    f"{_PROJECT}/events": ("target_type",),
    f"{_PROJECT}/labels": ("archived", "include_ancestor_groups", "search", "with_counts"),
    f"{_PROJECT}/milestones": (
        *("iids", "include_ancestors", "include_parent_milestones", "updated_after", "updated_before"),
    ),
    f"{_PROJECT}/releases": ("include_html_description", "updated_after", "updated_before"),
    f"{_PROJECT}/runners": ("paused", "scope", "status", "version_prefix"),
    f"{_PROJECT}/packages": ("include_versionless", "order_by", "package_version", "sort", "status"),
}
# Parameters whose other values GitLab answers with 400; for those that a handler reads as a choice, it does so.
VALUES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    f"{_PROJECT}/pipelines": {"status": _JOB_STATUSES, "source": _PIPELINE_SOURCES},
    f"{_PROJECT}/pipelines/{{pipeline_id}}/jobs": {"scope": _JOB_STATUSES},
    f"{_PROJECT}/pipeline_schedules": {"scope": ("active", "inactive")},
    f"{_PROJECT}/pipeline_schedules/{{schedule_id}}/pipelines": {"sort": ("asc", "desc")},
    f"{_PROJECT}/jobs": {"scope": _JOB_STATUSES},
    "/projects": {"visibility": _VISIBILITIES},
    "/groups": {"visibility": _VISIBILITIES},
    f"{_PROJECT}/deployments": {
        "status": ("created", "running", "success", "failed", "canceled", "skipped", "blocked")
    },
    f"{_PROJECT}/environments": {"states": ("available", "stopping", "stopped")},
    f"{_PROJECT}/milestones": {"state": ("active", "closed")},
    f"{_PROJECT}/runners": {"type": ("instance_type", "group_type", "project_type")},
}
# Lists that GitLab also pages by keys (docs: REST API, keyset-based pagination); it ignores the parameter elsewhere.
KEYSET = (
    *("/projects", "/users", "/groups", f"{_PROJECT}/issues", f"{_PROJECT}/jobs"),
    *(f"{_PROJECT}/repository/{name}" for name in ("branches", "tags", "tree")),
)


def refuse(call: Call, path: str) -> None:
    """Raise 400 if a request for the list at ``path`` has a parameter that is refused, or a value that is none."""
    if path in KEYSET and call.params.get("pagination") == "keyset":
        raise api.unsupported("pagination=keyset")
    names = REFUSED.get(path, ())
    # A filter may have parts: `not[labels]`.
    api.refuse_unsupported(call, [name for name in call.params if name.partition("[")[0] in names])
    for name, values in VALUES.get(path, {}).items():
        given = call.params.get(name)
        if any(value not in values for value in (given if isinstance(given, list) else [given] if given else ())):
            raise api.bad_request(f"{name} does not have a valid value", key="error")
