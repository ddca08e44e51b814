"""Defines the types of ``agents.yml``, ``budgets.yml`` and ``outputs.yml``: what agents may do and spend."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory.policies.fields import Capability, Host, Label, Money, Name, Percent, Positive, Strict
from factory.sandbox.launch import Level

# The agents that choose a model themselves if their configuration names none.
_HAVE_DEFAULT = ("codex", "claude")
# The path of the service that serves Codex with a plan's login (openai/codex#34608: another one than the API's).
_PLAN_PATH = "/backend-api/codex"


class Limits(Strict):
    """Limits that end an agent's attempt: tool calls, seconds, bytes, tokens, US dollars, processes."""

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
    """The model that an agent uses: type of its API, name, base URL, and how the factory logs in to it.

    Without ``name``, the agent uses its own default. With ``login: key``, ``key`` is the variable that holds the
    credential. With ``login: subscription``, the agent works on a person's plan: see docs/agents.md.
    """

    api: Literal["responses", "messages", "chat", "gemini"]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    url: Annotated[str, Field(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)(/[^\s]*)?$")]
    login: Literal["key", "subscription"] = "key"
    key: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.login == "key") != bool(self.key):
            raise ValueError("name a key with login: key, and none with login: subscription")
        return self

    @property
    def called(self) -> str:
        """The model's name, for people and records."""
        return self.name or "the agent's default"


class Prices(Strict):
    """What a model costs, in US dollars per million tokens, and the version of this table: a month or a day of it."""

    version: Annotated[str, Field(min_length=1)]
    input: Money
    cached: Money
    output: Money


class Agent(Strict):
    """How to start an agent and which hosts it may reach; ``sandbox`` is the minimum sandbox level.

    ``home`` names the layout of its private home folder, ``terminal`` starts its own terminal interface. ``stronger``
    is the agent that takes over if this one makes no progress, ``instead`` the agent if the provider is unavailable.
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

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.model is None:
            return self
        if self.model.login == "subscription":
            if (self.home, self.model.api) not in {("codex", "responses"), ("claude", "messages")}:
                raise ValueError("login: subscription needs home: codex with api: responses, or claude with messages")
            if self.home == "codex" and not self.model.url.endswith(_PLAN_PATH):
                raise ValueError(f"the url of a plan's login of Codex ends with {_PLAN_PATH}, not that of the API")
        if self.model.name is None and self.home not in _HAVE_DEFAULT:
            raise ValueError(f"name the model: only agents with home: {' or '.join(_HAVE_DEFAULT)} have a default")
        return self

    @property
    def billed(self) -> bool:
        """Whether somebody pays for each token; a plan's tokens are paid by its fee."""
        return self.model is None or self.model.login == "key"


class Permissions(Strict):
    """The answers to permission requests for commands, as shell patterns of a command's words; ``deny`` comes first."""

    allow: Annotated[tuple[str, ...], Field(strict=False)]
    deny: Annotated[tuple[str, ...], Field(strict=False)]


class Route(Strict):
    """The agent for an issue that has one of these labels; the first matching route decides."""

    labels: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    agent: Name


class Agents(Strict):
    """``agents.yml``: the agents by name, the default agent, and the routes from labels to agents."""

    default: Name
    routes: Annotated[tuple[Route, ...], Field(strict=False)]
    permissions: Permissions
    agents: Annotated[dict[Name, Agent], Field(min_length=1)]


class Cap(Strict):
    """The maximum spending within one limit; usage that is neither measured nor reported is estimated."""

    tokens: Positive
    usd: Money


class SpendingLimits(Strict):
    """The limits: for one session, for one issue in total, and for one day and one month (UTC) of the whole factory."""

    run: Cap
    issue: Cap
    day: Cap
    month: Cap


class Budgets(Strict):
    """``budgets.yml``: what may be spent before a person must decide, and when an idle agent is stopped.

    At ``warn_percent`` of a limit the agent is asked to save its work and end. ``idle_turns`` is the maximum number of
    tool calls without a change of the worktree. Money by prices older than ``price_age_days`` is shown as such.
    """

    attempts: Annotated[int, Field(ge=1, le=20)]
    warn_percent: Percent
    idle_turns: Positive
    pipeline_minutes: Annotated[int, Field(ge=1, le=1440)]
    price_age_days: Annotated[int, Field(ge=1, le=10_000)] = 400
    caps: SpendingLimits


class Caps(Strict):
    """How many requests of each kind one session may make; 0 forbids the kind."""

    comment: Annotated[int, Field(ge=0, le=50)]
    question: Annotated[int, Field(ge=0, le=50)]
    label: Annotated[int, Field(ge=0, le=50)]
    follow_up: Annotated[int, Field(ge=0, le=50)]
    done: Annotated[int, Field(ge=0, le=50)]
    blocked: Annotated[int, Field(ge=0, le=50)]


class Outputs(Strict):
    """``outputs.yml``: what agents may ask the factory to write: how often, which labels, how many characters.

    ``follow_up_labels`` are the labels of issues that an agent requests.
    """

    caps: Caps
    labels: Annotated[tuple[Label, ...], Field(strict=False)]
    follow_up_labels: Annotated[tuple[Label, ...], Field(strict=False)]
    characters: Annotated[int, Field(ge=1, le=20_000)]
