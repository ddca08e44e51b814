"""The key with which this machine signs evidence: a private file, and beside it the key that will replace it."""

import hashlib
import shlex
from collections.abc import Container
from pathlib import Path

from factory.errors import Conflict, InvalidInput, NotFound
from factory.evidence.sign import Signer, generate, keyid_of
from factory.instance.workspace import Workspace
from factory.system import files, process

# The environment variable with the passphrase of a sealed key.
PASSPHRASE = "FACTORY_KEY_PASSPHRASE"  # noqa: S105 - a name
# The environment variable with a command that prints the passphrase, such as the keyring's of the operating system.
COMMAND = "FACTORY_KEY_PASSPHRASE_COMMAND"
_CURRENT, _NEXT, _NEXT_PUBLIC, _LOCK = "recorder.pem", "next.pem", "next.pub", "lock"


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
    """Return the machine's key, from now on its successor if the successor's id is among the trusted ones.

    A sealed successor is opened only then. A crash at any point leaves a key in place.
    """
    public = _path(workspace, _NEXT_PUBLIC)
    if public.exists() and keyid_of(files.read_text(public).strip()) in trusted:
        with files.locked(_path(workspace, _LOCK)):
            if _path(workspace, _NEXT).exists():
                old = files.read_bytes(_path(workspace, _CURRENT))
                kept = _path(workspace, f"recorder-{hashlib.sha256(old).hexdigest()[:12]}.pem")
                files.write_atomic(kept, old, mode=0o600)
                _path(workspace, _NEXT).replace(_path(workspace, _CURRENT))
            public.unlink(missing_ok=True)
    return current(workspace)


def successor(workspace: Workspace) -> str | None:
    """Return the public key, in hex, that will replace the machine's key, or ``None``."""
    public = _path(workspace, _NEXT_PUBLIC)
    return files.read_text(public).strip() if public.exists() else None


def make_successor(workspace: Workspace, passphrase: str) -> str:
    """Make the key that will replace the machine's key, sealed if a passphrase is given; return its public key.

    Raises ``Conflict`` if there is one already.
    """
    with files.locked(_path(workspace, _LOCK)):
        if _path(workspace, _NEXT_PUBLIC).exists():
            raise Conflict(
                "this machine already has a new key that is not in use",
                hint="Propose it with `factory evidence keys rotate` or `enrol`.",
            )
        _write(workspace, _NEXT, passphrase)
        made = Signer(files.read_bytes(_path(workspace, _NEXT)), passphrase).public
        files.write_atomic(_path(workspace, _NEXT_PUBLIC), made.encode())
    return made


def stored_passphrase(workspace: Workspace) -> str:
    """Return the passphrase in the environment, or the first line that the command there prints; empty without both.

    Raises ``InvalidInput`` if the command cannot be read or prints nothing, ``MachineError`` if it fails.
    """
    given = workspace.environment
    command = given.get(COMMAND, "")
    if given.get(PASSPHRASE) or not command:
        return given.get(PASSPHRASE, "")
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"{COMMAND} is not a command: {error}") from error
    printed = process.run(argv, env=given).text.splitlines() if argv else []
    if not printed or not printed[0]:
        raise InvalidInput(f"the command in {COMMAND} printed no passphrase", hint="Run it in a terminal to see why.")
    return printed[0]


def _read(workspace: Workspace, name: str) -> Signer:
    pem = files.read_bytes(_path(workspace, name))
    return Signer(pem, stored_passphrase(workspace) if b"ENCRYPTED" in pem else "")


def _write(workspace: Workspace, name: str, passphrase: str) -> None:
    path = _path(workspace, name)
    files.private_folder(path.parent)
    files.write_atomic(path, generate(passphrase), mode=0o600)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.state / "keys" / name
