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
    """Where a gate runs, and whether a change needs it passed."""

    where: Literal["local", "pipeline"]
    required: bool


class Gates(_Strict):
    """``gates.yml``: the gates by name, and the command of each check that runs a tool."""

    gates: Annotated[dict[Name, Gate], Field(min_length=1)]
    checks: dict[Name, Annotated[tuple[str, ...], Field(min_length=1, strict=False)]]


class Scope(_Strict):
    """``scope.yml``: the paths that agents may change, as shell patterns where ``**`` crosses folders."""

    agents: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    allowed: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    protected: Annotated[tuple[str, ...], Field(strict=False)]
    max_files: Positive
    max_lines: Positive


class Labels(_Strict):
    """The labels that mirror an issue's state."""

    ready: str
    claimed: str
    review: str
    shipping: str
    blocked: str
    apply_unknown: str


class Workflow(_Strict):
    """``workflow.yml``: labels, bounds and times of a session."""

    labels: Labels
    attempts: Annotated[int, Field(ge=1, le=20)]
    lease_minutes: Annotated[int, Field(ge=1, le=1440)]
    pipeline_minutes: Annotated[int, Field(ge=1, le=1440)]
    issue_characters: Positive


class MergeApproval(_Strict):
    """How many people must approve a merge request."""

    required: Annotated[int, Field(ge=1, le=10)]


class DeployApproval(_Strict):
    """How many people must approve a deployment to the environment."""

    required: Annotated[int, Field(ge=1, le=10)]
    environment: str


class Approvals(_Strict):
    """``approvals.yml``: what a person must approve."""

    merge: MergeApproval
    deploy: DeployApproval


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
    approvals: Approvals
    terraform: Terraform
    digest: str
