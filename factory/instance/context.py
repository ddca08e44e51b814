"""Opens what the workflows need: connections of both accounts, the mirror, the recorder's key, the engine."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from factory.errors import NotFound
from factory.evidence.sign import Signer
from factory.evidence.trust import ALONE, Trust
from factory.gitlab import connect as gitlab
from factory.instance.workspace import AGENT, BOT, Workplace
from factory.secrets import tokens
from factory.system import files
from factory.workflow import serve
from factory.workflow.context import Context
from factory.workflow.engine import Engine, Slot, slot
from factory.worktrees.repository import Mirror

KILL_AT = "FACTORY_KILL_AT"


def _untimed(name: str, seconds: float) -> None:
    """Take a duration that nobody asks for."""


@contextmanager
def opened(
    place: Workplace,
    *,
    say: Callable[[str], None],
    timed: Callable[[str, float], None] = _untimed,
    agent: str | None = None,
    interactive: bool = False,
) -> Iterator[tuple[Context, Engine, Slot]]:
    """Open the factory for one process: context, launched engine and the slot it holds.

    ``agent`` names one to work; ``interactive`` tells that a person at a terminal works with it.
    """
    with slot(place.state / "engine") as held:
        made = make(place, holder=f"{place.identity()}/{held.number}", say=say, timed=timed)
        context = replace(made, agent_name=agent or made.agent_name, interactive=interactive)
        engine = Engine(held, failpoint=_failpoint(place))
        serve.register(engine, lambda: context)
        try:
            yield context, engine, held
        finally:
            engine.close()


def make(
    place: Workplace, *, holder: str, say: Callable[[str], None], timed: Callable[[str, float], None] = _untimed
) -> Context:
    """Return the context of an instance; raises ``NotFound`` where the recorder has no key."""
    key = place.state / "keys" / "recorder.pem"
    if not key.exists():
        raise NotFound("the recorder has no key here", hint="Start the embedded servers with `factory up`.")
    bot = place.connection(BOT)
    mirror = Mirror(place.state / "mirror.git", f"{place.url}/{place.settings['project']}.git")
    mirror.ensure()
    rooted = trust(place)
    return Context(
        bot=bot,
        agent=place.connection(AGENT),
        bot_token=place.token(BOT),
        agent_token=place.token(AGENT),
        mirror=mirror,
        state=place.state,
        holder=holder,
        signer=Signer(files.read_bytes(key)),
        trust=rooted,
        env=place.tool_env,
        readable=place.readable,
        say=say,
        timed=timed,
        simulator=gitlab.version(bot).endswith("-local"),
        alone=rooted.separation == ALONE,
        agent_name=place.settings["agent"] or None,
        wheels=_there(place.settings.cache / "wheels"),
        npm=_there(Path(place.environment.get("HOME") or "/") / ".npm"),
        agents_path=place.tools.agents_path,
        credential=lambda name: tokens.credential(place.token_folder, name, place.environment),
    )


def _there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def trust(place: Workplace) -> Trust:
    """Return the instance's trust root; raises ``NotFound``."""
    path = place.state / "trust.json"
    if not path.exists():
        raise NotFound("there is no trust root here", hint="Start the embedded servers with `factory up`.")
    return Trust.from_json(json.loads(files.read_text(path)))


def _failpoint(place: Workplace) -> Callable[[str], None]:
    """Return what dies, by SIGKILL, at the step boundary that FACTORY_KILL_AT names: how crashes are rehearsed."""
    wanted = place.environment.get(KILL_AT)

    def reached(point: str) -> None:
        if point == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached
