"""Defines the types of ``gitlab.yml``: the GitLab project's settings, section by section."""

from typing import Annotated, Literal

from pydantic import Field

from factory.policies.fields import Account, Strict

Role = Literal["nobody", "developer", "maintainer", "owner", "admin"]
Who = Annotated[str, Field(pattern=r"^(nobody|developer|maintainer|owner|admin|@[A-Za-z0-9_][A-Za-z0-9_.-]{0,254})$")]
Person = Annotated[str, Field(pattern=r"^@[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")]
People = Annotated[tuple[Who, ...], Field(min_length=1, strict=False)]
Key = Annotated[str, Field(min_length=1, max_length=255)]
Cron = Annotated[str, Field(pattern=r"^\S+( \S+){4}$", max_length=100)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}( \S{1,255})?$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Section = Literal[
    "members",
    "branches",
    "tags",
    "environments",
    "approvals",
    "labels",
    "schedules",
    "hooks",
    "runners",
    "variables",
]
Event = Literal["push", "issues", "merge_requests", "pipeline", "job", "note", "deployment", "releases", "tag_push"]


class ProjectSettings(Strict):
    """The project's fields, with GitLab's names (GitLab docs: Projects API, edit a project)."""

    description: Annotated[str, Field(max_length=2000)] | None = None
    visibility: Literal["private", "internal", "public"] | None = None
    merge_method: Literal["merge", "rebase_merge", "ff"] | None = None
    squash_option: Literal["never", "always", "default_on", "default_off"] | None = None
    only_allow_merge_if_pipeline_succeeds: bool | None = None
    allow_merge_on_skipped_pipeline: bool | None = None
    only_allow_merge_if_all_discussions_are_resolved: bool | None = None
    remove_source_branch_after_merge: bool | None = None
    autoclose_referenced_issues: bool | None = None
    public_jobs: bool | None = None
    ci_config_path: Annotated[str, Field(max_length=255)] | None = None
    ci_forward_deployment_enabled: bool | None = None
    ci_allow_fork_pipelines_to_run_in_parent_project: bool | None = None
    ci_pipeline_variables_minimum_override_role: (
        Literal["no_one_allowed", "developer", "maintainer", "owner"] | None
    ) = None
    auto_cancel_pending_pipelines: Literal["enabled", "disabled"] | None = None
    build_timeout: Annotated[int, Field(ge=600, le=2_592_000)] | None = None
    keep_latest_artifact: bool | None = None
    shared_runners_enabled: bool | None = None
    merge_commit_template: Annotated[str, Field(max_length=500)] | None = None
    squash_commit_template: Annotated[str, Field(max_length=500)] | None = None
    suggestion_commit_message: Annotated[str, Field(max_length=255)] | None = None
    issues_template: Annotated[str, Field(max_length=10_000)] | None = None
    merge_requests_template: Annotated[str, Field(max_length=10_000)] | None = None


class Branch(Strict):
    """Who may push to a branch, merge into it and unprotect it; a branch name may contain wildcards."""

    push: People
    merge: People
    unprotect: People | None = None
    force_push: bool = False
    code_owners: bool | None = None


class Tag(Strict):
    """Who may create tags of a name, which may contain wildcards."""

    create: People


class GuardedEnvironment(Strict):
    """Who may deploy to an environment, and who may approve; ``environments.yml`` has the number of approvals."""

    deploy: People
    approvers: People


class Approvals(Strict):
    """Who approves merge requests, and GitLab's approval settings; ``approvals.yml`` has the number of approvals."""

    people: Annotated[tuple[Person, ...], Field(min_length=1, strict=False)]
    reset_approvals_on_push: bool
    merge_requests_author_approval: bool
    merge_requests_disable_committers_approval: bool | None = None
    disable_overriding_approvers_per_merge_request: bool | None = None


class JobToken(Strict):
    """Which jobs may access the project: with ``inbound_enabled`` only its own and those of the listed projects."""

    inbound_enabled: bool
    allowlist: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Label(Strict):
    """A label in addition to those of ``session.yml``."""

    color: Colour
    description: Annotated[str, Field(max_length=255)] | None = None


class ResourceGroup(Strict):
    """The order in which jobs of a resource group run."""

    process_mode: Literal["unordered", "oldest_first", "newest_first", "newest_ready_first"]


class Schedule(Strict):
    """A scheduled pipeline; it runs with its owner's rights."""

    ref: Key
    cron: Cron
    timezone: Key = "UTC"
    active: bool = True
    owner: Annotated[str, Field(pattern=r"^@[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")]


class Hook(Strict):
    """The events of a webhook; with ``secret_token`` GitLab sends the token of ``factory work --webhook``."""

    events: Annotated[tuple[Event, ...], Field(min_length=1, strict=False)]
    ssl_verification: bool = True
    secret_token: bool | None = None


class Runner(Strict):
    """A project runner; a ``protected`` runner takes only jobs of protected branches."""

    tags: Annotated[tuple[Key, ...], Field(min_length=1, strict=False)]
    protected: bool
    run_untagged: bool = False
    locked: bool = True
    paused: bool = False


class Variable(Strict):
    """A CI variable with a value that is not secret; ``secrets.yml`` has the secret ones."""

    value: Annotated[str, Field(max_length=10_000)]
    protected: bool = False
    raw: bool = True


class PushRule(Strict):
    """The pushes that GitLab rejects (GitLab docs: Push rules API)."""

    commit_message_regex: Annotated[str, Field(max_length=511)] | None = None
    commit_message_negative_regex: Annotated[str, Field(max_length=2047)] | None = None
    branch_name_regex: Annotated[str, Field(max_length=511)] | None = None
    author_email_regex: Annotated[str, Field(max_length=511)] | None = None
    file_name_regex: Annotated[str, Field(max_length=511)] | None = None
    max_file_size: Annotated[int, Field(ge=0)] | None = None
    deny_delete_tag: bool | None = None
    member_check: bool | None = None
    prevent_secrets: bool | None = None
    commit_committer_check: bool | None = None
    reject_unsigned_commits: bool | None = None


class GitLab(Strict):
    """``gitlab.yml``: a missing section is ignored; in the sections of ``enforce`` unnamed settings are removed.

    For branches and tags ``enforce`` removes only wildcard rules that match a name in the file.
    """

    enforce: Annotated[tuple[Section, ...], Field(strict=False)] = ()
    members: dict[Account, Role] | None = None
    project: ProjectSettings | None = None
    branches: dict[Key, Branch] | None = None
    tags: dict[Key, Tag] | None = None
    environments: dict[Key, GuardedEnvironment] | None = None
    approvals: Approvals | None = None
    job_token: JobToken | None = None
    labels: dict[Key, Label] | None = None
    resource_groups: dict[Key, ResourceGroup] | None = None
    schedules: dict[Key, Schedule] | None = None
    hooks: dict[Annotated[str, Field(pattern=r"^https?://\S+$")], Hook] | None = None
    runners: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")], Runner] | None = None
    # By name. The name of a variable for one environment ends with that environment: `NAME production`.
    variables: dict[VariableName, Variable] | None = None
    push_rule: PushRule | None = None
