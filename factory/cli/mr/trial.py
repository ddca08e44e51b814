"""``factory mr try``: builds and runs a merge request's change behind the door, to look at before anybody approves."""

import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import click

from factory.apps import build, running
from factory.apps.archive import ReleaseManifest
from factory.apps.build import BuildMachine
from factory.apps.running import RunMachine, RunningRelease
from factory.cli import output
from factory.cli.current import current, number
from factory.errors import Refused, ToolFailed
from factory.gitlab import merge_requests
from factory.instance import provision
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.gitlab import MAIN, MergeRequest
from factory.operations.repository import app_source
from factory.policies import read
from factory.sandbox.launch import Level
from factory.system import ports

_PATIENCE = 60.0
# The change says what it may use; a trial allows at most this.
_MEMORY_MB, _PROCESSES = 2048, 512


@dataclass(frozen=True)
class Trial:
    """A merge request's release that runs on this machine: its app, its commit and its address."""

    merge_request: int
    app: str
    head: str
    url: str


@click.command(name="try")
@click.argument("merge_request")
@click.option("--app", "name", metavar="APP", help="The app to run (default: the only one).")
@click.option("--port", type=int, default=0, help="The port on 127.0.0.1 (default: a free one).")
@click.option("--check", is_flag=True, help="End once it answers.")
@output.as_json
def command(merge_request: str, name: str | None, port: int, check: bool, as_json: bool) -> None:
    """Build and run a merge request's change in the sandbox, and print its address; Ctrl-C ends it.

    The change gets no network, no secret and no file of yours, on this machine alone: nothing is deployed. Its packages
    are fetched as its lock file names them.
    """
    workspace = current()
    found = merge_requests.get(workspace.connection(), number(merge_request, "!"))
    if found.fork:
        raise Refused(f"the branch of !{found.iid} is in another project", hint="Fetch it from there with git.")
    with tempfile.TemporaryDirectory(prefix="try-") as folder:
        release, app = _started(workspace, found, name, Path(folder))
        try:
            running.await_health(release, seconds=_PATIENCE)
            wanted = port or ports.free(1)[0]
            value = Trial(found.iid, app, found.sha, f"http://127.0.0.1:{wanted}{release.manifest.health}")
            text = f"!{found.iid} {found.title}\n  {app} at {found.sha[:12]} answers on {value.url}"
            output.one(value, json_wanted=as_json, text=text + ("" if check else "\n  Ctrl-C ends it"))
            if not check:
                with suppress(KeyboardInterrupt):
                    _show(release, wanted)
        finally:
            release.stop()


def _started(workspace: Workspace, found: MergeRequest, name: str | None, folder: Path) -> tuple[RunningRelease, str]:
    mirror = provision.mirror(workspace, workspace.url, workspace.settings["project"])
    mirror.fetch(workspace.token(OPERATOR))
    known = read.read(mirror.tree(mirror.head(MAIN) or "", "policies/")).apps.paths
    app = app_source.chosen(app_source.names(mirror.paths(found.sha), known), name)
    tools, env = workspace.readable, workspace.tool_env
    resolved = app_source.extract(mirror.path, found.sha, app, known, folder / "work", env=env)
    packed = build.build(resolved, folder / "work", BuildMachine(env, tools, Level.BWRAP), say=output.say)
    manifest = _bounded(running.unpack(packed, folder / "release"))
    machine = RunMachine(env["PATH"], tools, Level.BWRAP)
    release = running.start(
        folder / "release",
        manifest,
        machine,
        name=f"{app}-{found.sha}",
        place=folder / "run",
        log=folder / "app.log",
        variables={},
        state=folder / "state",
    )
    return release, app


def _bounded(manifest: ReleaseManifest) -> ReleaseManifest:
    return replace(
        manifest,
        memory_mb=min(manifest.memory_mb, _MEMORY_MB),
        processes=min(manifest.processes, _PROCESSES),
    )


def _show(release: RunningRelease, port: int) -> None:
    """Serve the release on a loopback port until it ends; raises ``ToolFailed`` with its last words."""
    from factory.apps import front  # noqa: PLC0415 - asyncio starts slowly, and the other commands don't need it

    front.run(release.socket, port, while_=lambda: release.alive)
    raise ToolFailed(f"the release ended with {release.group.popen.returncode}{release.last_words()}")
