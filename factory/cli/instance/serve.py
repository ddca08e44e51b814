"""``factory serve``: the embedded servers of one instance in one process, and the runner beside it."""

import asyncio
import json
import os
import signal
from pathlib import Path

import click

from factory.cli.current import current
from factory.instance.workspace import Workplace
from factory.local_cloudflare import server as cloudflare
from factory.local_gitlab import server as gitlab
from factory.system import files, log, process

_RESTART_PAUSE = 1.0


@click.command(hidden=True)
def command() -> None:
    """Serve this instance until asked to end."""
    place = current()
    with files.locked(place.state / "serve.lock", wait=False):
        asyncio.run(_serve(place))


async def _serve(place: Workplace) -> None:
    ports = place.record["ports"]
    state = files.private_folder(place.state)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    made = place.cloudflare_tokens()
    double = cloudflare.create_app(
        files.private_folder(state / "cloudflare"),
        {made["plan"]: "read", made["apply"]: "write"},
        python=process.python(),
    )
    async with (
        gitlab.serve(
            state / "gitlab",
            port=ports["gitlab"],
            tier=place.record["tier"],
            expander=place.tools.gitlab_ci_local(),
            tool_env=place.tool_env,
            kept=files.private_folder(place.settings.cache / "ci"),
        ),
        cloudflare.serve(double, api_port=ports["cloudflare"], edge_port=ports["edge"]),
    ):
        me = {"pid": os.getpid(), "started_at": process.started_at(os.getpid())}
        files.write_atomic(state / "daemon.json", json.dumps(me).encode())
        runner = asyncio.create_task(_keep_runner(place, state))
        await ended.wait()
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
        (state / "daemon.json").unlink(missing_ok=True)


async def _keep_runner(place: Workplace, state: Path) -> None:
    """Start the runner, and again whenever it ends."""
    argv = [process.python(), "-P", "-m", "factory", "--instance", place.settings["instance"], "runner"]
    while True:
        with (state / "runner.log").open("ab") as output:
            group = await process.start_async(argv, env=place.environment, cwd=place.settings.clone, stderr=output)
            try:
                await group.process.wait()
            finally:
                await group.kill()
        log.event("the runner ended and is started again", code=group.process.returncode)
        await asyncio.sleep(_RESTART_PAUSE)
