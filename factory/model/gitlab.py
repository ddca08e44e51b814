"""GitLab's objects as frozen data types, with GitLab's own names and states."""

from collections.abc import Mapping
from dataclasses import dataclass

# The protected default branch, whose code judges every change.
MAIN = "main"


@dataclass(frozen=True)
class Issue:
    """An issue; ``state`` is ``opened`` or ``closed``."""

    iid: int
    title: str
    description: str
    state: str
    labels: tuple[str, ...]
    author: str
    updated_at: str
    web_url: str


@dataclass(frozen=True)
class MergeRequest:
    """A merge request; ``state`` is ``opened``, ``closed`` or ``merged``, ``fork`` says that another project has it.

    ``merged_as`` are the commits that its merge made: a merge commit, a squashed commit, or none.
    """

    iid: int
    title: str
    description: str
    state: str
    source_branch: str
    target_branch: str
    sha: str
    author: str
    labels: tuple[str, ...]
    detailed_merge_status: str
    web_url: str
    created_at: str
    merged_by: str = ""
    merged_at: str = ""
    merged_as: tuple[str, ...] = ()
    draft: bool = False
    fork: bool = False


@dataclass(frozen=True)
class Approval:
    """A user's approval of a merge request's current head or of a deployment."""

    username: str
    at: str
    comment: str = ""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline; ``status`` is GitLab's."""

    id: int
    status: str
    sha: str
    ref: str
    source: str
    yaml_errors: str | None
    web_url: str
    created_at: str
    duration: int | None

    @property
    def over(self) -> bool:
        """Tell whether the pipeline has ended, or waits for a manual action."""
        return self.status in {"success", "failed", "canceled", "skipped", "manual"}


@dataclass(frozen=True)
class Bridge:
    """A job that starts a child pipeline; ``child`` is the pipeline's id, 0 if GitLab did not create it."""

    name: str
    status: str
    child: int
    child_url: str


@dataclass(frozen=True)
class Job:
    """A job of a pipeline; ``duration`` is in seconds; ``user`` is GitLab's: for a manual job, who started it."""

    id: int
    name: str
    stage: str
    status: str
    failure_reason: str | None
    duration: float | None
    allow_failure: bool
    web_url: str
    started_at: str | None = None
    finished_at: str | None = None
    user: str = ""


@dataclass(frozen=True)
class Deployment:
    """A deployment to an environment; ``blocked`` while it waits for approval. ``tag``: ``ref`` is a tag.

    ``job`` and ``pipeline`` are 0 for a deployment that was made by an API request.
    """

    id: int
    status: str
    environment: str
    ref: str
    tag: bool
    sha: str
    job: int
    pipeline: int
    approvals: tuple[Approval, ...]
    created_at: str
    updated_at: str = ""


@dataclass(frozen=True)
class Release:
    """A release: a tag on a commit, with a name and notes in Markdown."""

    tag: str
    name: str
    commit: str
    description: str
    created_at: str


@dataclass(frozen=True)
class Note:
    """A comment on an issue or merge request."""

    id: int
    author: str
    body: str
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True)
class Change:
    """One changed file of a merge request; ``diff`` contains its hunks."""

    old_path: str
    new_path: str
    diff: str
    new_file: bool
    deleted_file: bool


Variables = Mapping[str, str]
