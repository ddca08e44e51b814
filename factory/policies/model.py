"""The policies as types: unknown keys and values out of range are refused when a file is read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from factory.sandbox.launch import Level

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(_Strict):
    """What stops an agent's turn; seconds and bytes."""

    turn_seconds: Positive
    silence_seconds: Positive
    output_bytes: Positive


class Agent(_Strict):
    """How to start an agent and what it may reach; ``sandbox`` is the least level that is accepted."""

    protocol: Literal["acp"]
    command: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    version: str
    sandbox: Annotated[Level, Field(strict=False)]
    network: bool
    limits: Limits


class Agents(_Strict):
    """``agents.yml``: the agents by name, and the one that is used unless told otherwise."""

    default: Name
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]


class Gate(_Strict):
    """Where a gate runs, and whether a change needs it passed; a gate that policy does not list is off."""

    where: Literal["local", "pipeline"]
    required: bool


class Thresholds(_Strict):
    """Where gates draw the line: percent of changed lines that tests run, slowdown against the base as a ratio."""

    changed_lines_covered: Annotated[int, Field(ge=0, le=100)]
    slowdown: Annotated[float, Field(ge=1.0, le=100.0)]


class Dependencies(_Strict):
    """What a change may depend on: packages by name with the licence (SPDX) that a person looked up."""

    known: dict[str, str]
    licences: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]


class Gates(_Strict):
    """``gates.yml``: the gates by name, the command of each check that runs a tool, and where lines are drawn."""

    gates: Annotated[dict[Name, Gate], Field(min_length=1)]
    checks: dict[Name, Annotated[tuple[str, ...], Field(min_length=1, strict=False)]]
    thresholds: Thresholds
    dependencies: Dependencies


class Scope(_Strict):
    """``scope.yml``: the paths that agents may change, as shell patterns where ``**`` crosses folders."""

    agents: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    allowed: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    protected: Annotated[tuple[str, ...], Field(strict=False)]
    max_files: Positive
    max_lines: Positive
    small_lines: Positive


class Labels(_Strict):
    """The labels that mirror an issue's state, and the one that a person gives to an issue that needs no spec."""

    small: str
    ready: str
    claimed: str
    review: str
    shipping: str
    blocked: str
    apply_unknown: str


class Workflow(_Strict):
    """``workflow.yml``: labels, bounds and times of a session."""

    labels: Labels
    lease_minutes: Annotated[int, Field(ge=1, le=1440)]
    issue_characters: Positive


class Budgets(_Strict):
    """``budgets.yml``: what one issue may cost before a person must look: attempts, tokens, minutes of a pipeline."""

    attempts: Annotated[int, Field(ge=1, le=20)]
    tokens: Positive
    pipeline_minutes: Annotated[int, Field(ge=1, le=1440)]


class Retention(_Strict):
    """``retention.yml``: how many days what sessions leave on this machine is kept once they ended."""

    session_days: Annotated[int, Field(ge=1, le=3650)]


class MergeApproval(_Strict):
    """How many people must approve a merge request, and who may; nobody named is anybody but author and agent."""

    required: Annotated[int, Field(ge=1, le=10)]
    approvers: Annotated[tuple[str, ...], Field(strict=False)]


class Risk(_Strict):
    """A kind of change that needs more: paths that it touches or actions of its plan, and how many must approve."""

    paths: Annotated[tuple[str, ...], Field(strict=False)] = ()
    actions: Annotated[tuple[Literal["create", "update", "delete"], ...], Field(strict=False)] = ()
    required: Annotated[int, Field(ge=1, le=10)]
    decide: Annotated[str, Field(min_length=1, max_length=200)]


class Approvals(_Strict):
    """``approvals.yml``: what a person must approve; ``decide`` is what they are asked where a risk applies."""

    merge: MergeApproval
    risks: dict[Name, Risk]


class Environment(_Strict):
    """One environment: its Terraform stack, and how many people must approve a deployment to it."""

    stack: Name
    approvals: Annotated[int, Field(ge=0, le=10)]
    production: bool


class Environments(_Strict):
    """``environments.yml``: where changes are deployed; ``deploy`` is the one that ``ship`` deploys to."""

    deploy: Name
    environments: Annotated[dict[Name, Environment], Field(min_length=1)]

    @property
    def target(self) -> Environment:
        """The environment that changes are deployed to."""
        return self.environments[self.deploy]


class Excuse(_Strict):
    """A finding that an owner accepts until a date: its rule, the path or subject it is about, and why."""

    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$")]
    subject: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=10)]
    expires: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Exceptions(_Strict):
    """``exceptions.yml``: what is accepted for a time; each is shown and counted in every verdict."""

    exceptions: Annotated[tuple[Excuse, ...], Field(strict=False)]


class Terraform(_Strict):
    """``terraform.yml``: what a plan may do; a resource type that is not listed is denied."""

    stack: Name
    app: Name
    types: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    providers: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    max_changes: Count
    allow_destroy: bool


class Policies(_Strict):
    """All policies, and the digest of the files they were read from."""

    agents: Agents
    gates: Gates
    scope: Scope
    workflow: Workflow
    budgets: Budgets
    retention: Retention
    approvals: Approvals
    environments: Environments
    exceptions: Exceptions
    terraform: Terraform
    digest: str
