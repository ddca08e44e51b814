"""Finds the credential of an agent's model, a key or the login of a person's plan, and lets sessions share a login.

Only the egress proxy gets the credential; behind the launch door the agent has a stand-in.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from factory.agents.task import Ending
from factory.errors import Conflict, FactoryError, MachineError, Unauthorized
from factory.model.agent import Reason
from factory.policies.agents import Agent, Model
from factory.sandbox.egress import Route
from factory.secrets import codex_login
from factory.secrets.codex_login import CodexLogin
from factory.system import clock, files, process
from factory.workflow.context import Context, Machine

# What `claude setup-token` prints; Claude Code reads it from a variable of this name.
CLAUDE_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105 - a name
# All that the agents ask of their plan's service for a turn, below the model's URL. The rest (profile, settings,
# plugins, analytics, workspaces) would show more of the person's account than a turn needs.
_PATHS: Mapping[str, tuple[str, ...]] = {"codex": ("responses", "models"), "claude": ("v1/messages",)}
_SPARE_SECONDS = 600.0
_TICK = 0.2
_PROGRAM = "codex"
_CLAUDE_HINT = f"Run `claude setup-token` and set {CLAUDE_TOKEN} to what it prints."
Record = Callable[[Mapping[str, object]], None]


def route(machine: Machine, agent: Agent) -> Route | None:
    """Return the proxy's route to an agent's model, with its credential; raises ``Unauthorized`` if it has none."""
    if agent.model is None:
        return None
    if agent.model.login == "key":
        return Route(agent.model.url, _key_header(machine, agent.model))
    if agent.home == "claude":
        headers = {"Authorization": f"Bearer {_claude_token(machine)}"}
    else:
        login = _codex(machine)
        headers = {"Authorization": f"Bearer {login.access}", "chatgpt-account-id": login.account}
    return Route(agent.model.url, headers, _PATHS[agent.home or ""])


def describe(machine: Machine, agent: Agent) -> str:
    """Return which credential an agent needs and whether it is here, without its value."""
    if agent.model is None:
        return "not needed"
    if agent.model.key:
        return f"{agent.model.key} {'set' if machine.credential(agent.model.key) else 'missing'}"
    try:
        route(machine, agent)
    except Unauthorized as error:
        return f"missing: {error.hint}" if agent.home == "claude" else f"missing: {error}"
    return f"{CLAUDE_TOKEN} set" if agent.home == "claude" else f"{codex_login.path(machine.person)} there"


def secrets(machine: Machine, agent: Agent) -> tuple[str, ...]:
    """Return the secrets of an agent's credential, to remove from a transcript; none if it has no credential."""
    if agent.model is None:
        return ()
    if agent.model.key:
        return (machine.credential(agent.model.key),)
    if agent.home == "claude":
        return (machine.credential(CLAUDE_TOKEN),)
    try:
        return _codex(machine).secrets
    except Unauthorized:
        return ()


@contextmanager
def held(
    context: Context, agent: Agent, *, record: Record, tick: Callable[[], Ending | None]
) -> Iterator[Ending | None]:
    """Hold the login of an agent during the block: at most one attempt uses a login of Codex at a time.

    While another session holds the login, ``tick`` is called several times a second: if it ends the attempt, its ending
    is yielded and the login is not held. A holder that dies frees the login. A login that would expire during the
    attempt is renewed first; if that fails, the attempt ends with ``auth_failed``.
    """
    with ExitStack() as stack:
        ending = None
        if _shared(agent):
            ending = _wait(context, stack, record, tick) or _fresh(context, agent)
        yield ending


def _fresh(context: Context, agent: Agent) -> Ending | None:
    """Renew a login that would expire during an attempt; return the attempt's end if that fails."""
    try:
        if _codex(context.machine).expired(within=agent.limits.turn_seconds + _SPARE_SECONDS):
            renew(context, agent)
    except FactoryError as error:
        return Reason.AUTH_FAILED, f"{error}. {error.hint}"
    return None


def renew(context: Context, agent: Agent) -> bool:
    """Let the official program renew an agent's login; return ``False`` for a key.

    The caller holds the login. Raises ``Unauthorized`` if the login cannot be renewed, ``MachineError`` without the
    program.
    """
    if agent.model is None or agent.model.login == "key":
        return False
    if not _shared(agent):
        raise Unauthorized("nobody but you can renew a login of Claude Code's plan", hint=_CLAUDE_HINT)
    machine = context.machine
    search = machine.agents_path or machine.env.get("PATH", "")
    program = process.find(_PROGRAM, search)
    if program is None:
        raise MachineError(f"there is no program {_PROGRAM} to renew the login", hint="Run `factory setup --agents`.")
    codex_login.renew(codex_login.path(machine.person), program, machine.person, search)
    context.say("Codex renewed its login")
    return True


def _shared(agent: Agent) -> bool:
    return agent.model is not None and agent.model.login == "subscription" and agent.home == "codex"


def _wait(context: Context, stack: ExitStack, record: Record, tick: Callable[[], Ending | None]) -> Ending | None:
    """Enter the lock of the login once it is free; return why the attempt ends before that, or ``None``."""
    login = codex_login.path(context.machine.person)
    lock = context.machine.logins / f"{hashlib.sha256(str(_real(login)).encode()).hexdigest()[:16]}.lock"
    told = False
    while (ending := tick()) is None:
        try:
            stack.enter_context(files.locked(lock, wait=False))
        except Conflict:
            if not told:
                text = f"waits until the other session that uses {login} has ended its attempt: one at a time"
                context.say(text)
                record({"event": "notice", "text": text})
                told = True
            clock.sleep(_TICK)
        else:
            return None
    return ending


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path


def _codex(machine: Machine) -> CodexLogin:
    return codex_login.read(codex_login.path(machine.person))


def _claude_token(machine: Machine) -> str:
    found = machine.credential(CLAUDE_TOKEN)
    if not found:
        raise Unauthorized(
            f"the login of Claude Code's plan, {CLAUDE_TOKEN}, is not set",
            hint=_CLAUDE_HINT,
        )
    return found


def _key_header(machine: Machine, model: Model) -> dict[str, str]:
    """Return the header with a model's key for its API."""
    found = machine.credential(model.key or "")
    if not found:
        raise Unauthorized(
            f"the credential {model.key} for the model {model.called} is not set",
            hint=f"Set the variable {model.key}; see runbooks/agent-credentials.md.",
        )
    if model.api == "messages":
        return {"x-api-key": found}
    return {"x-goog-api-key": found} if model.api == "gemini" else {"Authorization": f"Bearer {found}"}
