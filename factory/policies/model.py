"""The policies as types: unknown keys and values out of range are refused when a file is read."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from factory.policies.paths import unmatchable
from factory.sandbox.launch import Level

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Action = Literal["create", "update", "delete"]
Money = Annotated[float, Field(ge=0, le=1_000_000, strict=False)]
Percent = Annotated[int, Field(ge=1, le=100)]
Capability = Literal["edit", "run", "usage", "resume", "cancel"]
Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$")]
Account = Annotated[str, Field(min_length=1, max_length=255)]

# Rules that nobody may except: what guards the guards, what can't be taken back once it leaked, and exceptions.
_NEVER_EXCEPTED = ("scope.protected", "secrets.", "exception.")

# What an issue's labels of state begin with, which the factory alone sets.
STATE_LABELS = "factory::"


def exceptable(rule: str) -> bool:
    """Tell whether an exception may name a rule."""
    return not rule.startswith(_NEVER_EXCEPTED)


def _pattern(text: str) -> str:
    if problem := unmatchable(text):
        raise ValueError(f"{text!r} matches no path: it {problem}")
    return text


def _rule(text: str) -> str:
    if not exceptable(text):
        raise ValueError(f"{text} can't be excepted; a person changes what it guards")
    return text


def _label(text: str) -> str:
    if text.casefold().startswith(STATE_LABELS):
        raise ValueError(f"{text} mirrors an issue's state; an agent never sets it")
    return text


def _day(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{text} is no day of the calendar") from error
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_pattern)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/-]{0,99}$"), AfterValidator(_label)]


class Strict(BaseModel):
    """Unknown keys and values of another type are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Limits(Strict):
    """What ends an agent's attempt, whatever it reports: tool calls, seconds, bytes, tokens, US dollars, processes."""

    turns: Positive
    turn_seconds: Positive
    silence_seconds: Positive
    output_bytes: Positive
    tokens: Positive
    usd: Money
    memory_bytes: Annotated[int, Field(ge=1_000_000, le=1_000_000_000_000)]
    processes: Annotated[int, Field(ge=1, le=100_000)]
    file_bytes: Annotated[int, Field(ge=1_000_000, le=1_000_000_000_000)]


class Model(Strict):
    """The model an agent talks to: shape of its API, name, base URL, and the variable that holds the credential."""

    api: Literal["responses", "messages", "chat", "gemini"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    url: Annotated[str, Field(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)(/[^\s]*)?$")]
    key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Prices(Strict):
    """What a model costs, in US dollars per million tokens, and the version of this table."""

    version: Annotated[str, Field(min_length=1)]
    input: Money
    cached: Money
    output: Money


class Agent(Strict):
    """How to start an agent and what it may reach; ``sandbox`` is the least level that is accepted.

    ``home`` names how its private home is laid out, ``terminal`` starts its own terminal interface, ``stronger`` is
    the agent that takes over where this one makes no progress, ``instead`` the one where its provider is not there.
    """

    protocol: Literal["acp", "command"]
    home: Literal["codex", "claude", "opencode", "gemini"] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    terminal: Annotated[tuple[str, ...], Field(strict=False)] = ()
    version: Annotated[str, Field(min_length=1)]
    capabilities: Annotated[tuple[Capability, ...], Field(strict=False)]
    sandbox: Annotated[Level, Field(strict=False)]
    egress: Annotated[tuple[Host, ...], Field(strict=False)]
    model: Model | None = None
    prices: Prices | None = None
    stronger: Name | None = None
    instead: Name | None = None
    limits: Limits


class Permissions(Strict):
    """How permission requests for commands are answered, as shell patterns of a command's words; denial comes first."""

    allow: Annotated[tuple[str, ...], Field(strict=False)]
    deny: Annotated[tuple[str, ...], Field(strict=False)]


class Route(Strict):
    """Which agent takes an issue that carries one of these labels; of several routes the first that fits decides."""

    labels: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    agent: Name


class Agents(Strict):
    """``agents.yml``: the agents by name, the one that is used unless told otherwise, and who takes what."""

    default: Name
    routes: Annotated[tuple[Route, ...], Field(strict=False)]
    permissions: Permissions
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]


class Gate(Strict):
    """Where a gate runs, and whether a change needs it passed; a gate that policy does not list is off."""

    where: Literal["local", "pipeline"]
    required: bool


class Thresholds(Strict):
    """Where gates draw the line: percent of changed lines that tests run, slowdown against the base as a ratio."""

    changed_lines_covered: Annotated[int, Field(ge=0, le=100)]
    slowdown: Annotated[float, Field(ge=1.0, le=100.0)]


class Dependencies(Strict):
    """What a change may depend on: packages by name with the licence (SPDX) that a person looked up."""

    known: dict[str, str]
    licences: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]


class Gates(Strict):
    """``gates.yml``: the gates by name, the command of each check that runs a tool, and where lines are drawn."""

    gates: Annotated[dict[Name, Gate], Field(min_length=1)]
    checks: dict[Name, Annotated[tuple[str, ...], Field(min_length=1, strict=False)]]
    thresholds: Thresholds
    dependencies: Dependencies


class Scope(Strict):
    """``scope.yml``: the paths that agents may change, as shell patterns where ``**`` crosses folders."""

    agents: Annotated[tuple[Account, ...], Field(min_length=1, strict=False)]
    allowed: Annotated[tuple[Pattern, ...], Field(min_length=1, strict=False)]
    protected: Annotated[tuple[Pattern, ...], Field(strict=False)]
    max_files: Positive
    max_lines: Positive
    small_lines: Positive


class Labels(Strict):
    """The labels that mirror an issue's state, and the one that a person gives to an issue that needs no spec."""

    small: str
    ready: str
    claimed: str
    review: str
    shipping: str
    blocked: str
    apply_unknown: str


class Workflow(Strict):
    """``workflow.yml``: labels, bounds and times of a session."""

    labels: Labels
    lease_minutes: Annotated[int, Field(ge=1, le=1440)]
    issue_characters: Positive


class Cap(Strict):
    """The most that may be spent within one bound; what an agent does not report is estimated."""

    tokens: Positive
    usd: Money


class Spending(Strict):
    """The bounds: one session, one issue over its whole life, one day and one month (UTC) of the whole factory."""

    run: Cap
    issue: Cap
    day: Cap
    month: Cap


class Budgets(Strict):
    """``budgets.yml``: what may be spent before a person must look, and when an agent that gets nowhere is stopped.

    ``warn_percent`` of a limit ends the work in hand and leaves the rest for saving it; ``idle_turns`` is how many
    tool calls may pass without a change of the worktree.
    """

    attempts: Annotated[int, Field(ge=1, le=20)]
    warn_percent: Percent
    idle_turns: Positive
    pipeline_minutes: Annotated[int, Field(ge=1, le=1440)]
    caps: Spending


class Caps(Strict):
    """How many requests of each kind one session may make; 0 is none."""

    comment: Annotated[int, Field(ge=0, le=50)]
    question: Annotated[int, Field(ge=0, le=50)]
    label: Annotated[int, Field(ge=0, le=50)]
    follow_up: Annotated[int, Field(ge=0, le=50)]
    done: Annotated[int, Field(ge=0, le=50)]
    blocked: Annotated[int, Field(ge=0, le=50)]


class Outputs(Strict):
    """``outputs.yml``: what agents may ask the factory to write: how often, which labels, how many characters.

    ``follow_up_labels`` are given to issues that an agent asks for.
    """

    caps: Caps
    labels: Annotated[tuple[Label, ...], Field(strict=False)]
    follow_up_labels: Annotated[tuple[Label, ...], Field(strict=False)]
    characters: Annotated[int, Field(ge=1, le=20_000)]


class Retention(Strict):
    """``retention.yml``: how many days what sessions leave on this machine is kept once they ended."""

    session_days: Annotated[int, Field(ge=1, le=3650)]


class MergeApproval(Strict):
    """How many people must approve a merge request, and who may; nobody named is anybody but author and agent."""

    required: Annotated[int, Field(ge=1, le=10)]
    approvers: Annotated[tuple[Account, ...], Field(strict=False)]


class Risk(Strict):
    """A kind of change that needs more: paths that it touches or actions of its plan, and how many must approve."""

    paths: Annotated[tuple[Pattern, ...], Field(strict=False)] = ()
    actions: Annotated[tuple[Action, ...], Field(strict=False)] = ()
    required: Annotated[int, Field(ge=1, le=10)]
    decide: Annotated[str, Field(min_length=1, max_length=200)]


class Approvals(Strict):
    """``approvals.yml``: what a person must approve; ``decide`` is what they are asked where a risk applies."""

    merge: MergeApproval
    risks: dict[Name, Risk]


class Environment(Strict):
    """One environment: its Terraform stack, and how many people must approve a deployment to it."""

    stack: Name
    approvals: Annotated[int, Field(ge=0, le=10)]
    production: bool


class Environments(Strict):
    """``environments.yml``: where changes are deployed; ``deploy`` is the one that ``ship`` deploys to."""

    deploy: Name
    environments: Annotated[dict[Name, Environment], Field(min_length=1)]

    @property
    def target(self) -> Environment:
        """The environment that changes are deployed to."""
        return self.environments[self.deploy]


class Excuse(Strict):
    """A finding that an owner accepts to the end of a day: its rule, the path or subject it is about, and why."""

    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$"), AfterValidator(_rule)]
    subject: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=10)]
    expires: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_day)]


class Exceptions(Strict):
    """``exceptions.yml``: what is accepted for a time; each is shown and counted in every verdict."""

    exceptions: Annotated[tuple[Excuse, ...], Field(strict=False)]


class Terraform(Strict):
    """``terraform.yml``: what a plan may do; a resource type that is not listed is denied."""

    stack: Name
    app: Name
    types: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    providers: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    max_changes: Count
    allow_destroy: bool


class Policies(Strict):
    """All policies, and the digest of the files they were read from."""

    agents: Agents
    gates: Gates
    scope: Scope
    workflow: Workflow
    budgets: Budgets
    outputs: Outputs
    retention: Retention
    approvals: Approvals
    environments: Environments
    exceptions: Exceptions
    terraform: Terraform
    digest: str
