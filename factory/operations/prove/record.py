"""What a run will make, written down before it is made, so that `factory prove --clean-up` can delete it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from factory.config import state_home
from factory.errors import Conflict
from factory.system import data, files

PREFIX = "factory-prove-"
_FILE, _LOCK = "made.json", "lock"


@dataclass(frozen=True)
class Record:
    """The names of what one run makes; each has the run's random ``suffix``.

    ``group`` is empty without a throwaway group. ``zone`` is empty without a zone; else ``hostnames`` are those of the
    app by environment, ``account`` is the zone's, and ``before`` is what the zone had, a line for each object.
    ``variables`` are CI variables that the person gave. ``ids`` are GitLab's ids of what is being deleted, by path:
    GitLab renames what it is about to delete.
    """

    suffix: str
    url: str
    group: str
    project: str
    conformance: str
    zone: str = ""
    account: str = ""
    hostnames: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def projects(self) -> tuple[str, ...]:
        """Return the paths of both projects."""
        return (self.project, self.conformance)

    @property
    def cloudflare(self) -> str:
        """Return the address of Cloudflare's API, or an empty text for its own."""
        return self.variables.get("CLOUDFLARE_BASE_URL", "")

    def tunnel(self, environment: str) -> str:
        """Return the name of an environment's tunnel."""
        return f"{PREFIX}{self.suffix}-{environment}"


def plan(url: str, *, parent: str, group: bool) -> Record:
    """Return the names of a new run below ``parent``, a group or a user; with ``group``, in a new subgroup of it."""
    suffix = secrets.token_hex(4)
    name = f"{PREFIX}{suffix}"
    if group:
        home = f"{parent}/{name}"
        return Record(suffix, url, home, f"{home}/control", f"{home}/conformance")
    return Record(suffix, url, "", f"{parent}/{name}", f"{parent}/{name}-conformance")


def folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of all runs of this user."""
    return state_home(environment) / "prove"


def lock(environment: Mapping[str, str]) -> Path:
    """Return the file that a run locks: one runs at a time."""
    return folder(environment) / _LOCK


def write(place: Path, record: Record) -> None:
    """Write the record to the folder of its run."""
    files.private_folder(place)
    files.write_atomic(place / _FILE, json.dumps(asdict(record), indent=1).encode(), mode=0o600)


def read(place: Path) -> Record:
    """Return the record in the folder of a run; raises ``InvalidInput``."""
    path = place / _FILE
    return data.read(Record, files.read_bytes(path), source=str(path))


def left(environment: Mapping[str, str]) -> dict[Path, Record]:
    """Return the records of the runs that have not deleted everything, by the folder of the run."""
    found = sorted(folder(environment).glob(f"*/{_FILE}"))
    return {path.parent: read(path.parent) for path in found}


def require_none(environment: Mapping[str, str]) -> None:
    """Raise ``Conflict`` if an earlier run left something."""
    for place, found in left(environment).items():
        raise Conflict(
            f"an earlier run has not deleted {found.group or found.project} on {found.url}",
            hint=f"Run `factory prove --clean-up` first. If that server is gone for good, delete {place}.",
        )
