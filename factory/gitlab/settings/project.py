"""Reads and writes the project's settings, its push rule and its job token scope."""

from http import HTTPStatus
from typing import Any

import gitlab

from factory.gitlab.connect import translated
from factory.gitlab.settings.model import Fields, Section, Server, State, UnsupportedField

KEY, PUSH_KEY = "project", "push_rule"
# GitLab docs: Projects API, edit a project.
FIELDS = (
    "description",
    "visibility",
    "merge_method",
    "squash_option",
    "only_allow_merge_if_pipeline_succeeds",
    "allow_merge_on_skipped_pipeline",
    "only_allow_merge_if_all_discussions_are_resolved",
    "remove_source_branch_after_merge",
    "autoclose_referenced_issues",
    "public_jobs",
    "ci_config_path",
    "ci_forward_deployment_enabled",
    "ci_allow_fork_pipelines_to_run_in_parent_project",
    "ci_pipeline_variables_minimum_override_role",
    "auto_cancel_pending_pipelines",
    "build_timeout",
    "keep_latest_artifact",
    "shared_runners_enabled",
    "merge_commit_template",
    "squash_commit_template",
    "suggestion_commit_message",
    "issues_template",
    "merge_requests_template",
)
# GitLab docs: Description templates, set a default template.
_LICENSED = {
    "issues_template": "the file .gitlab/issue_templates/Default.md on main",
    "merge_requests_template": "the file .gitlab/merge_request_templates/Default.md on main",
}


def _read(server: Server) -> State:
    with translated("read the project's settings"):
        found: Any = server.connection.client.http_get(server.connection.api)
    return {KEY: {name: found.get(name) for name in FIELDS}}


def _write(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    del key
    # Only an owner may write some fields, so unchanged fields are left out.
    changed = {name: value for name, value in wanted.items() if (found or {}).get(name) != value}
    with translated("change the project's settings"):
        server.connection.client.http_put(server.connection.api, post_data=changed)


def _fit(key: str, wanted: Fields) -> tuple[Fields, tuple[UnsupportedField, ...]]:
    lost = [
        UnsupportedField("project", key, name, wanted[name], _LICENSED[name]) for name in _LICENSED if name in wanted
    ]
    return {name: value for name, value in wanted.items() if name not in _LICENSED}, tuple(lost)


def _read_push_rule(server: Server) -> State:
    """Return the push rule; if there is none, GitLab answers ``null`` or 404."""
    with translated("read the push rule"):
        try:
            found: Any = server.connection.client.http_get(f"{server.connection.api}/push_rule")
        except gitlab.GitlabHttpError as error:
            if error.response_code != HTTPStatus.NOT_FOUND:
                raise
            found = None
    return {PUSH_KEY: found} if isinstance(found, dict) else {}


def _write_push_rule(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, path = server.connection.client, f"{server.connection.api}/{key}"
    with translated("change the push rule"):
        (client.http_post if found is None else client.http_put)(path, post_data=dict(wanted))


def _read_scope(server: Server) -> State:
    path = f"{server.connection.api}/job_token_scope"
    with translated("read the job token's scope"):
        found: Any = server.connection.client.http_get(path)
        listed: Any = server.connection.client.http_list(f"{path}/allowlist", get_all=True)
    own = server.connection.project_path
    allowed = [item["path_with_namespace"] for item in listed]
    return {
        "job_token": {
            "inbound_enabled": found["inbound_enabled"],
            "allowlist": [item for item in allowed if item != own],
        }
    }


def _write_scope(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, path = server.connection.client, f"{server.connection.api}/job_token_scope"
    existing = set((found or {}).get("allowlist") or ())
    with translated(f"change the scope of the {key}"):
        if "inbound_enabled" in wanted:
            client.http_patch(path, post_data={"enabled": wanted["inbound_enabled"]})
        if "allowlist" not in wanted:
            return
        for name in sorted(set(wanted["allowlist"]) - existing):
            client.http_post(f"{path}/allowlist", post_data={"target_project_id": _number(server, name)})
        for name in sorted(existing - set(wanted["allowlist"])):
            client.http_delete(f"{path}/allowlist/{_number(server, name)}")


def _number(server: Server, path: str) -> int:
    return int(server.connection.client.projects.get(path).id)


PROJECT = Section("project", _read, _write, fit=_fit)
PUSH_RULE = Section(
    PUSH_KEY,
    _read_push_rule,
    _write_push_rule,
    premium=True,
    substitute="the gates `commits`, `secrets` and `scope` judge every merge request; other branches accept any push",
)
JOB_TOKEN = Section("job_token", _read_scope, _write_scope)
