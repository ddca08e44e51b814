"""Defines the types of the policies; reading a file rejects unknown keys and values out of range."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory.model.app_paths import AppPaths
from factory.policies.agents import Agents, Budgets, Outputs
from factory.policies.fields import (
    Account,
    Action,
    Count,
    Day,
    ExceptableRule,
    Name,
    Pattern,
    Positive,
    RepositoryPath,
    Strict,
)
from factory.policies.gitlab import GitLab
from factory.policies.secrets import Secrets
from factory.policies.terraform import Terraform


class Gate(Strict):
    """Where a gate runs, and whether a change must pass it; a gate that policy does not list is off."""

    where: Literal["local", "pipeline"]
    required: bool


class Thresholds(Strict):
    """Limits of gates: minimum percentage of changed lines that tests run, maximum ratio of head time to base time."""

    changed_lines_covered: Annotated[int, Field(ge=0, le=100)]
    slowdown: Annotated[float, Field(ge=1.0, le=100.0)]


class Dependencies(Strict):
    """What a change may depend on: packages by name with the licence (SPDX) that a person looked up."""

    known: dict[str, str]
    licences: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]


class Gates(Strict):
    """``gates.yml``: the gates by name, the command of each check that runs a tool, and the thresholds.

    With ``mode: observe``, the pipeline's verdict names the required gates that did not pass, and blocks nothing but on
    the gates of plans and evidence.
    """

    mode: Literal["observe", "enforce"] = "enforce"
    gates: Annotated[dict[Name, Gate], Field(min_length=1)]
    checks: dict[Name, Annotated[tuple[str, ...], Field(min_length=1, strict=False)]]
    thresholds: Thresholds
    dependencies: Dependencies


class Scope(Strict):
    """``scope.yml``: the paths that agents may change, as shell patterns in which ``**`` crosses folders."""

    agents: Annotated[tuple[Account, ...], Field(min_length=1, strict=False)]
    allowed: Annotated[tuple[Pattern, ...], Field(min_length=1, strict=False)]
    protected: Annotated[tuple[Pattern, ...], Field(strict=False)]
    max_files: Positive
    max_lines: Positive
    small_lines: Positive


class Labels(Strict):
    """The labels that mirror an issue's state, the label of a small issue and the label of a drift issue."""

    small: str
    ready: str
    claimed: str
    review: str
    shipping: str
    blocked: str
    exhausted: str
    apply_unknown: str
    drift: str


class SessionRules(Strict):
    """``session.yml``: labels and limits of a session."""

    labels: Labels
    lease_minutes: Annotated[int, Field(ge=1, le=1440)]
    issue_characters: Positive


class Retention(Strict):
    """``retention.yml``: how many days this machine keeps the files of an ended session."""

    session_days: Annotated[int, Field(ge=1, le=3650)]


class MergeApproval(Strict):
    """How many people must approve a merge request, and who may; an empty list allows all but author and agent.

    ``own`` says whether the author's approval of a change made by hand counts.
    """

    required: Annotated[int, Field(ge=1, le=10)]
    approvers: Annotated[tuple[Account, ...], Field(strict=False)]
    own: Literal["allow", "deny"] = "deny"


class Risk(Strict):
    """A kind of change that needs more approvals: its paths, the actions of its plan, and the number of approvals.

    With ``lines``, a path counts only if the change adds one of these texts there; neither case nor the kind and number
    of spaces matters.
    """

    paths: Annotated[tuple[Pattern, ...], Field(strict=False)] = ()
    lines: Annotated[tuple[Annotated[str, Field(min_length=3, max_length=100)], ...], Field(strict=False)] = ()
    actions: Annotated[tuple[Action, ...], Field(strict=False)] = ()
    required: Annotated[int, Field(ge=1, le=10)]
    decide: Annotated[str, Field(min_length=1, max_length=200)]


class Approvals(Strict):
    """``approvals.yml``: what a person must approve; ``decide`` is the question to ask if a risk applies."""

    merge: MergeApproval
    risks: dict[Name, Risk]


class Environment(Strict):
    """One environment, which has a Terraform stack of the same name: how many people must approve a deployment to it.

    ``failed_check`` says whether traffic returns to the previous release if a deployment's check fails.
    """

    approvals: Annotated[int, Field(ge=0, le=10)]
    production: bool
    failed_check: Literal["return", "stay"] = "stay"


class Environments(Strict):
    """``environments.yml``: where changes are deployed; ``deploy`` is the environment that a merged change ends in."""

    deploy: Name
    environments: Annotated[dict[Name, Environment], Field(min_length=1)]

    @property
    def target(self) -> Environment:
        """The environment that changes are deployed to."""
        return self.environments[self.deploy]

    def asked(self, stack: str) -> int:
        """Return how many people must approve a stack's plan; a stack without an environment counts as production."""
        found = self.environments.get(stack)
        if found is None or found.production:
            return max(1, found.approvals if found else 1)
        return found.approvals


class Excuse(Strict):
    """A finding that an owner accepts until a date: its rule, its path or other subject, and the reason."""

    rule: ExceptableRule
    subject: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=10)]
    expires: Day


class Exceptions(Strict):
    """``exceptions.yml``: findings that are accepted for a time; every verdict lists and counts them."""

    exceptions: Annotated[tuple[Excuse, ...], Field(strict=False)]


class EnrolledKey(Strict):
    """A key that may sign evidence.

    ``key`` is an Ed25519 public key in hex. ``kinds`` are the kinds of statement that it signs, and ``checkpoint``;
    without them it signs everything. It signs from statement ``since`` to before statement ``until``. ``replaces``
    names the key that it takes over from: with its first statement, that key ends.
    """

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    since: Count
    until: Count | None = None
    kinds: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] | None = None
    replaces: Name | None = None


class PinnedLog(Strict):
    """A state of the log that it must continue: its number of statements, and its root hash in hex."""

    size: Count
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EnrolledHost(Strict):
    """A host whose readiness counts: its Ed25519 public key in hex, and the environments that it runs."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    environments: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]


class TrustRoot(Strict):
    """``trust.yml``, which may be absent: the log's name, the keys by name, and which roles have separate accounts.

    ``hosts`` are the hosts by name: nothing is applied to an environment before each of its hosts is ready.
    """

    origin: Annotated[str, Field(pattern=r"^[^\s+]+$", max_length=255)]
    separation: Literal["apart", "two accounts", "none"] = "apart"
    keys: Annotated[dict[Name, EnrolledKey], Field(min_length=1)]
    pinned: PinnedLog | None = None
    hosts: dict[Name, EnrolledHost] = Field(default_factory=dict)


class Apps(Strict):
    """``apps.yml``: with ``root``, the repository itself is one app of that name; without the file, apps are in apps/.

    ``sources`` are the folders and files with that app's code, ``install`` the files that name what it needs,
    ``unrun`` the tests that the suite leaves out on purpose, as patterns of ``path::name``.
    """

    root: Name | None = None
    sources: Annotated[tuple[RepositoryPath, ...], Field(strict=False)] = ()
    install: Annotated[tuple[RepositoryPath, ...], Field(strict=False)] = ()
    unrun: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=300)], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.root) != bool(self.sources):
            raise ValueError("root and sources belong together: name both, or delete the file")
        return self

    @property
    def paths(self) -> AppPaths:
        """Which files belong to the apps."""
        return AppPaths(self.root or "", self.sources)


class Policies(Strict):
    """All policies, and the digest of the files they were read from."""

    agents: Agents
    gates: Gates
    scope: Scope
    session: SessionRules
    budgets: Budgets
    outputs: Outputs
    retention: Retention
    approvals: Approvals
    environments: Environments
    exceptions: Exceptions
    terraform: Terraform
    secrets: Secrets
    gitlab: GitLab
    digest: str
    apps: Apps = Apps()
    trust: TrustRoot | None = None
