"""``factory runner``: runs the built-in runners of one instance."""

import json
import os
import threading

import click

from factory.cli.current import current
from factory.config import ENVIRONMENTS, environments
from factory.instance.workspace import RUNNERS
from factory.local_gitlab.runner import executor
from factory.system import clock, files, process

_PAUSE, _LOOK_PAUSE = 0.05, 1.0


@click.command(hidden=True)
@click.option("--concurrency", default=2, show_default=True, help="How many jobs each runner runs at once.")
@click.option("--server", type=int, help="End once this process, which started the runner, is gone.")
def command(concurrency: int, server: int | None) -> None:
    """Wait until the instance has registered its runners, then run jobs until stopped."""
    if server is not None:  # its own parent by now may be another process: the server may have ended already
        threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    workspace = current()
    stored = workspace.token_folder / RUNNERS
    while not stored.exists():
        clock.sleep(_PAUSE)
    shared = environments(workspace.environment)
    files.private_folder(shared)
    settings = executor.Settings(
        url=workspace.url,
        tokens=tuple(json.loads(files.read_text(stored)).values()),
        builds=workspace.state / "builds",
        env={**workspace.tool_env, "FACTORY_PYTHON": process.python(), ENVIRONMENTS: str(shared)},
        readable=(*workspace.readable, workspace.state / "provider"),
        shared=(shared,),
        concurrency=concurrency,
    )
    executor.run(settings, threading.Event())


def _end_with(server: int) -> None:
    """End this process, and so its jobs, once the server that started it is gone: the next one starts its own."""
    while os.getppid() == server:
        clock.sleep(_LOOK_PAUSE)
    os._exit(1)
