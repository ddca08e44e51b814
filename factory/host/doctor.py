"""Checks whether this machine can be the host of an environment: its trust root, token, sockets and disk."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from factory.errors import FactoryError, Unreachable
from factory.evidence.trust import Trust
from factory.gitlab import accounts
from factory.gitlab.connect import Connection
from factory.host.sockets import Sockets
from factory.model.diagnosis import Diagnosis
from factory.system import files

# A release has at most 512 MiB, is stored packed and unpacked, and the one before it stays.
_SPACE = 2 * 2**30
_READ, _WRITE = {"api", "read_api"}, {"api", "write_repository"}
_FETCH = {"api", "read_repository", "write_repository"}


@dataclass(frozen=True)
class HostPlace:
    """What a host works with: the trust root's file, the folders of its sockets and its state.

    ``named`` says whether it has a name, under which it pushes.
    """

    trust: Path
    sockets: Path
    state: Path
    named: bool


def diagnose(connection: Connection | None, place: HostPlace) -> tuple[Diagnosis, ...]:
    """Return what a host needs, and whether it is here; changes nothing on GitLab. No connection: there is no token."""
    return (_trust(place.trust), _token(connection, named=place.named), _sockets(place.sockets), _disk(place.state))


def _trust(path: Path) -> Diagnosis:
    try:
        trust = Trust.read(files.read_bytes(path), source=str(path))
    except FactoryError as error:
        return Diagnosis("trust root", "fix", str(error), "factory evidence trust, where the factory's instance is")
    return Diagnosis("trust root", "ok", f"of the log {trust.origin}; keys: {len(trust.keys)}")


def _token(connection: Connection | None, *, named: bool) -> Diagnosis:
    wanted = "read_api and write_repository" if named else "read_api and read_repository"
    fix = f"a project access token with {wanted}, role {'Developer' if named else 'Reporter'} or higher"
    if connection is None:
        return Diagnosis("token", "missing", "", fix)
    try:
        scopes = set(accounts.scopes_in_project(connection))
    except Unreachable as error:
        return Diagnosis("token", "unknown", str(error), "check --url, and that this machine reaches it")
    except FactoryError as error:
        return Diagnosis("token", "fix", str(error), fix)
    told = ", ".join(sorted(scopes))
    if not scopes:
        return Diagnosis("token", "unknown", "it may read the project; GitLab tells no scopes", fix, required=False)
    enough = scopes & _READ and scopes & (_WRITE if named else _FETCH)
    return Diagnosis("token", "ok", told) if enough else Diagnosis("token", "fix", told, fix)


def _sockets(folder: Path) -> Diagnosis:
    """Check that a folder for sockets can be made; the path of a long name must fit, too."""
    known = folder.exists()
    fix = "factory host run --sockets FOLDER; set `sockets` in terraform/live/ENVIRONMENT/main.tf to the same"
    try:
        Sockets(folder).told_at(f"{'a' * 20}-{'0' * 40}")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FactoryError, OSError) as error:
        return Diagnosis("sockets", "fix", str(error), fix)
    finally:
        if not known and folder.exists():
            folder.rmdir()
    return Diagnosis("sockets", "ok", str(folder))


def _disk(folder: Path) -> Diagnosis:
    free = shutil.disk_usage(folder).free
    told = f"{free / 2**30:.1f} GiB free for releases in {folder}"
    if free < _SPACE:
        return Diagnosis("disk", "fix", told, f"free {_SPACE >> 30} GiB, or set --state", required=False)
    return Diagnosis("disk", "ok", told)
