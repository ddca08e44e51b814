"""Project settings: defaults of a new project and the values that GitLab accepts (docs: Projects API)."""

from typing import Any

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, OWNER, Call
from factory.local_gitlab.serving.store import Document

# Free neither shows nor changes these settings (docs: Description templates, set a default template).
LICENSED = ("issues_template", "merge_requests_template")
_TEXTS: dict[str, Any] = {
    "description": None,
    "ci_config_path": None,
    "merge_commit_template": None,
    "squash_commit_template": None,
    "suggestion_commit_message": None,
    **dict.fromkeys(LICENSED),
}
_FLAGS = {
    "only_allow_merge_if_pipeline_succeeds": False,
    "allow_merge_on_skipped_pipeline": False,
    "only_allow_merge_if_all_discussions_are_resolved": False,
    "remove_source_branch_after_merge": True,
    "public_jobs": True,
    "ci_forward_deployment_enabled": True,
    "ci_allow_fork_pipelines_to_run_in_parent_project": True,
    "keep_latest_artifact": True,
    "shared_runners_enabled": True,
}
_LEAST_ROLE = "ci_pipeline_variables_minimum_override_role"
_CHOICES = {
    "visibility": ("private", "internal", "public"),
    "merge_method": ("merge", "rebase_merge", "ff"),
    "squash_option": ("default_off", "default_on", "always", "never"),
    "auto_cancel_pending_pipelines": ("enabled", "disabled"),
    _LEAST_ROLE: ("developer", "maintainer", "owner", "no_one_allowed"),
}
_TIMEOUT, _MINUTES_10, _MONTH = 3600, 600, 2629746
# docs: Projects API, features with an access level: those that this server has, and those that it does not have.
_SERVED = ("builds", "environments", "issues", "merge_requests", "package_registry", "releases", "repository")
_NOT_SERVED = (
    *("analytics", "container_registry", "feature_flags", "forking", "infrastructure", "model_experiments"),
    *("model_registry", "monitor", "pages", "requirements", "security_and_compliance", "snippets", "wiki"),
)
# Settings that have one value here.
_FIXED: Document = {
    **{f"{name}_access_level": "enabled" for name in _SERVED},
    **{f"{name}_access_level": "disabled" for name in _NOT_SERVED},
    **dict.fromkeys(("issues_enabled", "jobs_enabled", "merge_requests_enabled", "packages_enabled"), True),
    **dict.fromkeys(("container_registry_enabled", "lfs_enabled", "mirror", "request_access_enabled"), False),
    **dict.fromkeys(
        (
            "autoclose_referenced_issues",
            "auto_devops_enabled",
            "service_desk_enabled",
            "snippets_enabled",
            "wiki_enabled",
        ),
        False,
    ),
}
# Settings of GitLab that this server neither shows nor changes.
_UNSUPPORTED = (
    "allow_pipeline_trigger_approve_deployment",
    "approvals_before_merge",
    "auto_devops_deploy_strategy",
    "auto_duo_code_review_enabled",
    "build_coverage_regex",
    "build_git_strategy",
    "ci_default_git_depth",
    "ci_delete_pipelines_in_seconds",
    "ci_forward_deployment_rollback_allowed",
    "ci_id_token_sub_claim_components",
    "ci_push_repository_for_job_token_allowed",
    "ci_restrict_pipeline_cancellation_role",
    "ci_separated_caches",
    "container_expiration_policy_attributes",
    "emails_disabled",
    "emails_enabled",
    "enforce_auth_checks_on_uploads",
    "external_authorization_classification_label",
    "group_runners_enabled",
    "group_with_project_templates_id",
    "import_url",
    "issue_branch_template",
    "max_artifacts_size",
    "merge_pipelines_enabled",
    "merge_request_title_regex",
    "merge_request_title_regex_description",
    "merge_trains_enabled",
    "merge_trains_skip_train_allowed",
    "mirror_branch_regex",
    "mirror_overwrites_diverged_branches",
    "mirror_trigger_builds",
    "mirror_user_id",
    "mr_default_target_self",
    "only_allow_merge_if_all_status_checks_passed",
    "only_mirror_protected_branches",
    "operations_access_level",
    "pre_receive_secret_detection_enabled",
    "prevent_merge_without_jira_issue",
    "printing_merge_request_link_enabled",
    "public_builds",
    "repository_object_format",
    "repository_storage",
    "resolve_outdated_diff_discussions",
    "resource_group_default_process_mode",
    "restrict_user_defined_variables",
    "show_default_award_emojis",
    "show_diff_preview_in_email",
    "template_name",
    "template_project_id",
    "use_custom_template",
    "warn_about_potentially_unwanted_characters",
    "web_based_commit_signing_enabled",
)
_LONGEST_TOPIC = 255
# The default of a choice is its first value.
DEFAULTS: Document = {
    **_TEXTS,
    **_FLAGS,
    **{name: values[0] for name, values in _CHOICES.items()},
    "build_timeout": _TIMEOUT,
    "topics": [],
}
_MAY_GIVE_VARIABLES = {"maintainer": MAINTAINER, "owner": OWNER}


def given(call: Call) -> Document:
    """Return the settings in a request; raises 400 for a value that GitLab refuses, and for an unsupported setting."""
    _refuse_others(call)
    found: Document = {name: call.text(name) for name in _TEXTS if name in call.params}
    if call.context.tier == "free":
        found = {name: value for name, value in found.items() if name not in LICENSED}
    found |= {name: _flag(call, name) for name in _FLAGS if name in call.params}
    found |= {name: call.choice(name, values, "") for name, values in _CHOICES.items() if name in call.params}
    path = found.get("ci_config_path") or ""
    if path.startswith("/") or ".." in path:
        raise api.invalid({"ci_config_path": ["cannot include leading slash or directory traversal."]})
    if "build_timeout" in call.params:
        found["build_timeout"] = call.integer("build_timeout")
        if not _MINUTES_10 <= found["build_timeout"] < _MONTH:
            raise api.invalid({"build_timeout": ["needs to be between 10 minutes and 1 month"]})
    for name in ("tag_list", "topics"):
        if name in call.params:
            found["topics"] = _topics(call, name)
    return found


def refuse_other_definition(path: str, settings: Document) -> None:
    """Raise 400 if the settings of the project at ``path`` take its pipeline definition from elsewhere."""
    setting = settings.get("ci_config_path") or ""
    _, at, elsewhere = setting.partition("@")
    if "://" in setting or (at and elsewhere.partition(":")[0] != path):
        raise api.unsupported("ci_config_path with a definition of another project or server")


def _refuse_others(call: Call) -> None:
    """Raise 400 for a setting that is not supported, or has another value here than the request's."""
    for name in (*_FIXED, *_UNSUPPORTED):
        value = call.params.get(name)
        if value is not None and not (name in _FIXED and str(value).lower() == str(_FIXED[name]).lower()):
            raise api.unsupported(name)


def _topics(call: Call, name: str) -> list[str]:
    """Return topics once each, in any case (docs: Project topics); ``tag_list`` is their old name."""
    topics = {topic.lower(): topic for topic in reversed(call.strings(name) or [])}
    if any(len(topic) > _LONGEST_TOPIC for topic in topics):
        raise api.invalid({"topics": [f"name is too long (maximum is {_LONGEST_TOPIC} characters)"]})
    return [*topics.values()][::-1]


def _flag(call: Call, name: str) -> bool:
    value = call.params[name]
    if str(value).lower() not in {"true", "false", "1", "0", "", "none"}:
        raise api.bad_request(f"{name} is invalid", key="error")
    return call.flag(name)


def refuse_change(call: Call, changes: Document) -> None:
    """Raise 400 if a non-owner changes ``ci_pipeline_variables_minimum_override_role`` from an owner-only value."""
    before = of(call.project)[_LEAST_ROLE]
    if changes.get(_LEAST_ROLE, before) != before and before in {"owner", "no_one_allowed"} and call.role < OWNER:
        raise api.failed(400, f"Changing the {_LEAST_ROLE} from {before} is not allowed")


def of(project: Document) -> Document:
    """Return a project with all settings: defaults for those that older versions did not store, and fixed ones."""
    found = DEFAULTS | project
    return found | _FIXED | {"tag_list": found["topics"]}


def may_give_variables(call: Call) -> bool:
    """Return whether the caller's role is high enough to pass variables to a pipeline."""
    least = of(call.project)[_LEAST_ROLE]
    return bool(least != "no_one_allowed" and call.role >= _MAY_GIVE_VARIABLES.get(least, 0))


def refuse_variables(call: Call) -> None:
    """Raise 400 if the caller's role is too low to pass variables to a pipeline."""
    if not may_give_variables(call):
        raise api.invalid({"base": ["Insufficient permissions to set pipeline variables"]})
