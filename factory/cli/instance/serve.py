"""``factory serve``: runs the embedded servers of one instance in one process, and the runner in another."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import click

from factory.apps.running import RunMachine
from factory.cli.current import current
from factory.instance import hosts
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
        sockets=hosts.sockets_folder(workspace),
    )
    async with (
        gitlab.serve(
            state / "gitlab",
            port=ports["gitlab"],
            tier=workspace.record.tier,
            expander=workspace.tools.gitlab_ci_local(),
            tool_env=workspace.tool_env,
            kept=files.private_folder(workspace.settings.cache / "ci"),
        ) as served,
        cloudflare.serve(double, api_port=ports["cloudflare"], edge_port=ports["edge"]),
    ):
        me = {"pid": os.getpid(), "started_at": process.started_at(os.getpid())}
        files.write_atomic(state / "daemon.json", json.dumps(me).encode())
        runner = asyncio.create_task(_keep_runner(workspace, state))
        releases = hosts.EmbeddedHosts(
            workspace, RunMachine(workspace.tool_env["PATH"], workspace.readable), served.refs_moved
        )
        await _ended(ended, (state / "daemon.json", workspace.settings.clone))
        await asyncio.to_thread(releases.close)
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
        (state / "daemon.json").unlink(missing_ok=True)


async def _ended(told: asyncio.Event, needed: tuple[Path, ...]) -> None:
    """Wait for the signal to end, or until a path is gone: nobody could find or stop the servers any more."""
    while not told.is_set():
        if not all(path.exists() for path in needed):
            log.event("the instance's folder or its clone was deleted: the servers end")
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), _LOOK_PAUSE)


async def _keep_runner(workspace: Workspace, state: Path) -> None:
    """Start the runner, and restart it whenever it exits."""
    argv = [process.python(), "-P", "-m", "factory", "--instance", workspace.settings["instance"]]
    argv += ["runner", "--server", str(os.getpid())]
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
