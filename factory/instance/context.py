"""Creates the context of the workflows: connections of both accounts, the mirror, the recorder's key, the engine."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from factory.agents.task import driver
from factory.config import environments, state_home
from factory.errors import InvalidInput, NotFound
from factory.evidence.trust import ALONE, Trust
from factory.gitlab import connect as gitlab
from factory.instance import recorder_key
from factory.instance.workspace import AGENT, BOT, Workspace
from factory.model.gitlab import MAIN
from factory.operations import trust_root
from factory.secrets import tokens
from factory.system import files
from factory.workflow import recorder, work_loop
from factory.workflow.context import Accounts, Console, Context, Machine, Recorder
from factory.workflow.durable_steps import Engine, Slot, slot
from factory.workflow.durable_steps import preload as preload_engine
from factory.worktrees.repository import Mirror

KILL_AT = "FACTORY_KILL_AT"


def preload() -> None:
    """Import what a session starts with, for a caller that waits: it takes more than a second."""
    preload_engine()
    driver("acp")


def _untimed(name: str, seconds: float) -> None:
    """Ignore a duration."""


@contextmanager
def opened(
    workspace: Workspace,
    *,
    say: Callable[[str], None],
    timed: Callable[[str, float], None] = _untimed,
    agent: str | None = None,
    interactive: bool = False,
) -> Iterator[tuple[Context, Engine, Slot]]:
    """Open the factory for one process: the context, the engine and the slot that it holds.

    ``agent`` names the agent that works; ``interactive`` means that a person works with it at a terminal.
    """
    with slot(workspace.state / "engine") as held:
        context = make(workspace, holder=f"{workspace.identity()}/{held.number}", say=say, timed=timed)
        name = agent or context.console.agent_name
        recorder.require_key(context)
        context = replace(context, console=replace(context.console, agent_name=name, interactive=interactive))
        engine = Engine(held, failpoint=_failpoint(workspace))
        work_loop.register(engine, lambda: context)
        try:
            yield context, engine, held
        finally:
            engine.close()


def make(
    workspace: Workspace, *, holder: str, say: Callable[[str], None], timed: Callable[[str, float], None] = _untimed
) -> Context:
    """Return the context of an instance; raises ``NotFound`` if the recorder has no key."""
    recorder_key.require(workspace)
    bot = workspace.connection(BOT)
    copy = mirror(workspace)
    copy.ensure()
    own = own_trust(workspace)
    return Context(
        accounts=Accounts(
            bot=bot,
            agent=workspace.connection(AGENT),
            bot_token=workspace.token(BOT),
            agent_token=workspace.token(AGENT),
            simulator=gitlab.version(bot).endswith("-local"),
            alone=own.separation == ALONE,
        ),
        mirror=copy,
        machine=machine(workspace, state=workspace.state, holder=holder),
        recorder=Recorder(signer=partial(recorder_key.in_use, workspace), own=own),
        console=Console(say=say, timed=timed, agent_name=workspace.settings["agent"] or None),
    )


def machine(workspace: Workspace, *, state: Path, holder: str) -> Machine:
    """Return this machine, as the workspace's environment describes it."""
    return Machine(
        state=state,
        holder=holder,
        env=workspace.tool_env,
        readable=workspace.readable,
        environments=environments(workspace.environment),
        wheels=_existing(workspace.settings.cache / "wheels"),
        npm=_existing(Path(workspace.environment.get("HOME") or "/") / ".npm"),
        agents_path=workspace.tools.agents_path,
        credential=lambda name: tokens.credential(workspace.token_folder, name, workspace.environment),
        person=workspace.environment,
        logins=state_home(workspace.environment) / "logins",
    )


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def mirror(workspace: Workspace) -> Mirror:
    """Return the instance's copy of the project, which may not exist yet."""
    return Mirror(workspace.state / "mirror.git", f"{workspace.url}/{workspace.settings['project']}.git")


def trust(workspace: Workspace) -> Trust:
    """Return the trust root of the instance's project as of the last fetch; raises ``NotFound``."""
    own, copy = own_trust(workspace), mirror(workspace)
    head = copy.head(MAIN) if copy.path.exists() else None
    return trust_root.trusted_at(copy, head, own) if head else own


def own_trust(workspace: Workspace) -> Trust:
    """Return the trust root that has only the instance's own key; raises ``NotFound``."""
    path = workspace.state / "trust.json"
    if not path.exists():
        raise NotFound("there is no trust root here", hint="Start the embedded servers with `factory up`.")
    return read_trust(path)


def read_trust(path: Path) -> Trust:
    """Return the trust root in a file; raises ``InvalidInput``."""
    try:
        return Trust.read(files.read_bytes(path), source=path.name)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is not a trust root: {error}", hint="`factory evidence trust` prints one."
        ) from error


def _failpoint(workspace: Workspace) -> Callable[[str], None]:
    """Return a function that kills the process at the step boundary in FACTORY_KILL_AT, to test crashes."""
    target = workspace.environment.get(KILL_AT)

    def reached(point: str) -> None:
        if point == target:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached
