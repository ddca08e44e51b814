"""``factory runner``: the built-in runners of one instance."""

import json
import threading

import click

from factory.cli.current import current
from factory.instance.workspace import RUNNERS
from factory.local_gitlab.runner import executor
from factory.system import clock, files, process

_PAUSE = 0.05


@click.command(hidden=True)
@click.option("--concurrency", default=2, show_default=True, help="How many jobs at once, of each.")
def command(concurrency: int) -> None:
    """Run jobs until ended; at first, wait until the instance has registered its runners."""
    workspace = current()
    kept = workspace.token_folder / RUNNERS
    while not kept.exists():
        clock.sleep(_PAUSE)
    settings = executor.Settings(
        url=workspace.url,
        tokens=tuple(json.loads(files.read_text(kept)).values()),
        builds=workspace.state / "builds",
        env={**workspace.tool_env, "FACTORY_PYTHON": process.python()},
        readable=(*workspace.readable, workspace.state / "provider"),
        concurrency=concurrency,
    )
    executor.run(settings, threading.Event())
