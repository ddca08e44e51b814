"""``factory runner``: the built-in runner of one instance."""

import threading

import click

from factory.cli.workplace import current
from factory.local_gitlab import runner
from factory.system import clock, process

_PAUSE = 0.05


@click.command(hidden=True)
@click.option("--concurrency", default=2, show_default=True, help="How many jobs at once.")
def command(concurrency: int) -> None:
    """Run jobs until ended; at first, wait until the instance has registered its runner."""
    place = current()
    while not (place.token_folder / "runner").exists():
        clock.sleep(_PAUSE)
    settings = runner.Settings(
        url=place.url,
        token=place.token("runner"),
        builds=place.state / "builds",
        env={**place.tool_env, "FACTORY_PYTHON": process.python()},
        readable=(*place.readable, place.state / "provider"),
        concurrency=concurrency,
    )
    runner.run(settings, threading.Event())
