"""Starts, finds and stops the embedded servers of an instance."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from factory.errors import MachineError, PortInUse, Unreachable
from factory.instance.provision import prepare, provision, require_history
from factory.instance.workspace import InstanceRecord, Say, Workspace
from factory.system import clock, data, files, http, ports, process
from factory.system.toolchain import names_secret
from factory.terraform import stacks

HOST = "127.0.0.1"
_NAMES = ("gitlab", "cloudflare", "edge")
_START_LIMIT = 30.0
_STOP_LIMIT = 10.0


def ensure_up(
    workspace: Workspace, *, say: Say, new_ports: bool = False, meanwhile: Callable[[], None] | None = None
) -> bool:
    """Start the servers unless they run, and provision the instance; return whether it started them.

    ``meanwhile`` is called while the infrastructure is deployed.

    Raises ``PortInUse`` if a port of the instance is in use, ``MachineError`` if a server does not start,
    ``InvalidInput`` for a shallow clone that has no instance yet.
    """
    files.private_folder(workspace.state)
    with files.locked(workspace.state / "up.lock"):
        running = daemon(workspace)
        if running is None:
            require_history(workspace)
            chosen = _ports(workspace, new=new_ports)
            _start(workspace, chosen)
            say(f"started: GitLab {workspace.url}, edge http://{HOST}:{chosen['edge']}")
        provision(workspace, say=say, meanwhile=meanwhile)
    return running is None


def daemon(workspace: Workspace) -> int | None:
    """Return the pid of the instance's running servers, or ``None``."""
    path = workspace.state / "daemon.json"
    if not path.exists():
        return None
    known = json.loads(files.read_text(path))
    return known["pid"] if process.started_at(known["pid"]) == known["started_at"] else None


def stop(workspace: Workspace) -> bool:
    """Stop the instance's servers and everything they started; return whether they were running."""
    pid = daemon(workspace)
    if pid is None:
        return False
    begun = process.started_at(pid)
    process.signal_process(pid)
    deadline = clock.monotonic() + _STOP_LIMIT
    # Wait for the process, not for the file: the process still holds its lock and ports after it removes the file.
    while begun is not None and process.started_at(pid) == begun:
        if clock.monotonic() > deadline:
            process.signal_process(pid, force=True)
        clock.sleep(0.05)
    (workspace.state / "daemon.json").unlink(missing_ok=True)
    return True


def discard(workspace: Workspace) -> None:
    """Stop the instance and delete its state."""
    stop(workspace)
    files.remove_tree(workspace.state)
    workspace.__dict__.pop("record", None)


def install_terraform(workspace: Workspace) -> None:
    """Install terraform where this instance's jobs will need it: `up` left it out without infrastructure."""
    if (workspace.state / "instance.json").exists():
        for line in workspace.tools.install(workspace.environment):
            workspace.say(f"installed {line}")


def _ports(workspace: Workspace, *, new: bool) -> Mapping[str, int]:
    """Return the instance's stored ports, or choose new ones; raises ``PortInUse``."""
    path = workspace.state / "instance.json"
    if path.exists() and not new:
        stored = workspace.record.ports
        for name, port in stored.items():
            if not ports.is_free(port):
                raise PortInUse(f"port {port}, which this instance uses for {name}, is in use")
        return stored
    chosen = dict(zip(_NAMES, ports.free(len(_NAMES)), strict=True))
    # An existing instance keeps its tier and project.
    fresh = InstanceRecord(workspace.settings["tier"], workspace.settings["project"], chosen)
    record = replace(workspace.record, ports=chosen) if path.exists() else fresh
    files.write_atomic(path, data.write(record))
    workspace.__dict__.pop("record", None)
    return chosen


def _start(workspace: Workspace, chosen: Mapping[str, int]) -> None:
    infrastructure = bool(stacks.present(workspace.settings.clone))
    for line in workspace.tools.install(workspace.environment, terraform=infrastructure):
        workspace.say(f"installed {line}")
    log = workspace.state / "servers.log"
    public = {name: value for name, value in workspace.environment.items() if not names_secret(name)}
    env = {**public, "FACTORY_GITLAB_URL": ""}
    argv = [process.python(), "-P", "-m", "factory", "--instance", workspace.settings["instance"], "serve"]
    pid = process.start_daemon(argv, env=env, log=log, cwd=workspace.settings.clone)
    prepare(workspace)  # the servers need a second to start
    deadline = clock.monotonic() + _START_LIMIT
    gitlab = http.Client(f"http://{HOST}:{chosen['gitlab']}", timeout=2)
    while clock.monotonic() < deadline:
        try:
            if daemon(workspace) == pid and gitlab.send("GET", "/-/health").status == HTTPStatus.OK:
                return
        except Unreachable:
            pass
        if process.started_at(pid) is None:
            raise MachineError("the embedded servers exited during start-up", hint=f"Read {log}: {_last_line(log)}")
        clock.sleep(0.03)
    raise MachineError("the embedded servers did not answer within 30 s", hint=f"Read {log}.")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1][:200] if lines else ""
