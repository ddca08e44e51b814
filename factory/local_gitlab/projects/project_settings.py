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
# The default of a choice is its first value.
DEFAULTS: Document = {
    **_TEXTS,
    **_FLAGS,
    **{name: values[0] for name, values in _CHOICES.items()},
    "build_timeout": _TIMEOUT,
}
_MAY_GIVE_VARIABLES = {"maintainer": MAINTAINER, "owner": OWNER}


def given(call: Call) -> Document:
    """Return the settings in a request; raises 400 for a value that GitLab refuses."""
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
    return found


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
    """Return a project with defaults for settings that older versions did not store."""
    return DEFAULTS | project


def refuse_variables(call: Call) -> None:
    """Raise 400 if the caller's role is too low to pass variables to a pipeline."""
    least = of(call.project)[_LEAST_ROLE]
    if least == "no_one_allowed" or call.role < _MAY_GIVE_VARIABLES.get(least, 0):
        raise api.invalid({"base": ["Insufficient permissions to set pipeline variables"]})
