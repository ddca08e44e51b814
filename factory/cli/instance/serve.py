"""``factory serve``: runs the embedded servers of one instance in one process, and the runner in another."""

import asyncio
import json
import os
import signal
from pathlib import Path

import click

from factory.cli.current import current
from factory.instance.workspace import Workspace
from factory.local_cloudflare import server as cloudflare
from factory.local_gitlab import server as gitlab
from factory.system import files, log, process

_RESTART_PAUSE = 1.0
_LOOK_PAUSE = 2.0


@click.command(hidden=True)
def command() -> None:
    """Serve this instance until SIGTERM or SIGINT, or until its state or its clone is deleted."""
    workspace = current()
    with files.locked(workspace.state / "serve.lock", wait=False):
        asyncio.run(_serve(workspace))


async def _serve(workspace: Workspace) -> None:
    ports = workspace.record.ports
    state = files.private_folder(workspace.state)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    tokens = workspace.cloudflare_tokens()
    double = cloudflare.create_app(
        files.private_folder(state / "cloudflare"),
        {tokens["plan"]: "read", tokens["apply"]: "write"},
        python=process.python(),
    )
    async with (
        gitlab.serve(
            state / "gitlab",
            port=ports["gitlab"],
            tier=workspace.record.tier,
            expander=workspace.tools.gitlab_ci_local(),
            tool_env=workspace.tool_env,
            kept=files.private_folder(workspace.settings.cache / "ci"),
        ),
        cloudflare.serve(double, api_port=ports["cloudflare"], edge_port=ports["edge"]),
    ):
        me = {"pid": os.getpid(), "started_at": process.started_at(os.getpid())}
        files.write_atomic(state / "daemon.json", json.dumps(me).encode())
        tasks = [
            asyncio.create_task(_keep_runner(workspace, state)),
            asyncio.create_task(_watch((state / "daemon.json", workspace.settings.clone), ended)),
        ]
        await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (state / "daemon.json").unlink(missing_ok=True)


async def _watch(needed: tuple[Path, ...], ended: asyncio.Event) -> None:
    """Set ``ended`` once one of the paths is gone: nobody could find or stop the servers any more."""
    while all(path.exists() for path in needed):
        await asyncio.sleep(_LOOK_PAUSE)
    log.event("the instance's folder or its clone was deleted: the servers end")
    ended.set()


async def _keep_runner(workspace: Workspace, state: Path) -> None:
    """Start the runner, and restart it whenever it exits."""
    argv = [process.python(), "-P", "-m", "factory", "--instance", workspace.settings["instance"], "runner"]
    while True:
        with (state / "runner.log").open("ab") as output:
            group = await process.start_async(
                argv, env=workspace.environment, cwd=workspace.settings.clone, stderr=output
            )
            try:
                await group.process.wait()
            finally:
                await group.kill()
        log.event("the runner exited and is restarted", code=group.process.returncode)
        await asyncio.sleep(_RESTART_PAUSE)
