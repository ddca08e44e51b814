"""``factory runner``: the built-in runner of one instance."""

import sys
import threading
from pathlib import Path

import click

from factory.cli.workplace import current
from factory.local_gitlab import runner
from factory.secrets import tokens
from factory.system import process


@click.command(hidden=True)
@click.option("--concurrency", default=2, show_default=True, help="How many jobs at once.")
def command(concurrency: int) -> None:
    """Run jobs until ended."""
    place = current()
    settings = runner.Settings(
        url=place.url,
        token=tokens.get(place.token_folder, "runner", {}),
        builds=place.state / "builds",
        env={**place.tool_env, "FACTORY_PYTHON": process.python()},
        readable=(
            place.settings.clone / ".venv",
            place.settings.clone / ".tools",
            place.settings.clone / "factory",
            place.state / "provider",
            Path(sys.prefix),
            Path(sys.base_prefix),
        ),
        concurrency=concurrency,
    )
    runner.run(settings, threading.Event())
