"""``factory host logs``: what the releases on this machine print."""

import json
from pathlib import Path

import click

from factory.apps import release_log
from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import NotFound
from factory.host import supervisor
from factory.host.host import RELEASES
from factory.system import clock

_PAUSE = 0.5


@click.command()
@options.ENVIRONMENT
@click.argument("release", default="")
@options.STATE
@click.option("--lines", type=click.IntRange(0, 100_000), default=20, show_default=True, help="How many lines of each.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@output.as_json
def command(environment: str, release: str, state: Path | None, lines: int, follow: bool, as_json: bool) -> None:
    """Show what the releases of ENVIRONMENT printed; of one, if RELEASE begins its name (as an app's name does).

    The newest megabyte of each is kept, at least; starting the release again keeps it.
    """
    options.check(environment)
    folder = options.known(state, environment, process_environment.snapshot()) / RELEASES
    found = {path.stem: path for path in supervisor.logs(folder) if path.stem.startswith(release)}
    if not found:
        raise NotFound(
            f"no release {release} ran for {environment} here".replace("  ", " "), hint="See `factory host status`."
        )
    feeds = {name: release_log.following(path) for name, path in found.items()} if follow else {}
    for feed in feeds.values():
        next(feed)
    for name, path in found.items():
        _print(name, release_log.lines(path, lines), several=len(found) > 1, as_json=as_json)
    while feeds:
        clock.sleep(_PAUSE)
        for name, feed in feeds.items():
            _print(name, next(feed), several=len(found) > 1, as_json=as_json)


def _print(name: str, lines: list[str], *, several: bool, as_json: bool) -> None:
    for line in lines:
        if as_json:
            click.echo(json.dumps({"release": name, "line": line}))
        else:
            click.echo(output.visible(f"{name}: {line}" if several else line))
