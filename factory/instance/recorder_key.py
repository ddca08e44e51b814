"""The key with which this machine signs evidence: a private file, and beside it the key that will replace it."""

from collections.abc import Container
from pathlib import Path

from factory.errors import Conflict, NotFound
from factory.evidence.sign import Signer, generate
from factory.instance.workspace import Workspace
from factory.system import files

# The environment variable with the passphrase of a sealed key.
PASSPHRASE = "FACTORY_KEY_PASSPHRASE"  # noqa: S105 - a name
_CURRENT, _NEXT = "recorder.pem", "next.pem"


def ensure(workspace: Workspace) -> Signer:
    """Return the machine's key; make it if there is none."""
    if not _path(workspace, _CURRENT).exists():
        _write(workspace, _CURRENT, "")
    return current(workspace)


def require(workspace: Workspace) -> None:
    """Raise ``NotFound`` if the machine has no key."""
    if not _path(workspace, _CURRENT).exists():
        raise NotFound("the recorder has no key here", hint="Start the embedded servers with `factory up`.")


def current(workspace: Workspace) -> Signer:
    """Return the machine's key; raises ``NotFound`` if it has none, ``InvalidInput`` without its passphrase."""
    require(workspace)
    return _read(workspace, _CURRENT)


def in_use(workspace: Workspace, trusted: Container[str]) -> Signer:
    """Return the machine's key, from now on its successor if the successor's id is among the trusted ones."""
    new = successor(workspace)
    if new is not None and new.keyid in trusted:
        # A crash at any point leaves a key in place.
        kept = _path(workspace, f"recorder-{current(workspace).keyid[:12]}.pem")
        files.write_atomic(kept, files.read_bytes(_path(workspace, _CURRENT)), mode=0o600)
        _path(workspace, _NEXT).replace(_path(workspace, _CURRENT))
    return current(workspace)


def successor(workspace: Workspace) -> Signer | None:
    """Return the key that will replace the machine's key, or ``None``."""
    return _read(workspace, _NEXT) if _path(workspace, _NEXT).exists() else None


def make_successor(workspace: Workspace, passphrase: str) -> Signer:
    """Make the key that will replace the machine's key, sealed if a passphrase is given; raises ``Conflict``."""
    if _path(workspace, _NEXT).exists():
        raise Conflict(
            "this machine already has a new key that is not in use",
            hint="Propose it with `factory evidence keys rotate` or `enrol`.",
        )
    _write(workspace, _NEXT, passphrase)
    return Signer(files.read_bytes(_path(workspace, _NEXT)), passphrase)


def _read(workspace: Workspace, name: str) -> Signer:
    return Signer(files.read_bytes(_path(workspace, name)), workspace.environment.get(PASSPHRASE, ""))


def _write(workspace: Workspace, name: str, passphrase: str) -> None:
    path = _path(workspace, name)
    files.private_folder(path.parent)
    files.write_atomic(path, generate(passphrase), mode=0o600)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.state / "keys" / name
