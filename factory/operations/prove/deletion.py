"""Deletes what a run made, and nothing else: what its record names, and nothing without the run's random suffix."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from factory.cloudflare import zones
from factory.cloudflare.client import Reader
from factory.errors import FactoryError, Refused
from factory.gitlab.connect import Connection, connect
from factory.model.secret import Secret
from factory.operations.prove import destruction, namespaces, zone_state
from factory.operations.prove import record as records
from factory.operations.prove.deadline import Deadline
from factory.operations.prove.record import Record
from factory.system import clock, files

_PAUSE = 0.5


@dataclass(frozen=True)
class Deleted:
    """What was deleted, and what is left with the reason."""

    deleted: tuple[str, ...]
    left: tuple[str, ...]


def delete(
    place: Path,
    made: Record,
    *,
    username: str,
    token: Secret,
    cloudflare: Secret,
    env: Mapping[str, str],
    deadline: Deadline,
) -> Deleted:
    """Delete everything that the run in the folder ``place`` made; with nothing left, delete the folder too.

    First what Terraform made, then the projects, then their group: GitLab deletes no group at once that has projects.
    The tokens are the operator's and Cloudflare's. Continues after an error, and names what is left; the project with
    Terraform's states is kept while something of them is left.
    """
    project = connect(made.url, made.project, account=username, token=token.reveal())
    work: list[tuple[str, Callable[[], str]]] = []
    if made.zone:
        destroyed = partial(
            destruction.destroy,
            place,
            made,
            project,
            token=token.reveal(),
            cloudflare=cloudflare,
            env=env,
            deadline=deadline,
        )
        work.append((f"what Terraform made in {made.zone}", lambda: _told(made, destroyed())))
        work.append((f"the zone {made.zone}", lambda: _unchanged(made, cloudflare)))
    kinds = [*((namespaces.PROJECTS, path) for path in made.projects), (namespaces.GROUPS, made.group)]
    work += [(path, partial(_delete, place, project, kind, path, deadline)) for kind, path in kinds if path]
    done: list[str] = []
    left: list[str] = []
    for what, action in work:
        if left and what == made.group:
            left.append(f"{what}: the above is in it")
        elif left and made.zone and what == made.project:
            left.append(f"{what}: it has Terraform's states")
        else:
            try:
                done.append(action())
            except FactoryError as error:
                left.append(f"{what}: {error}")
    if not left:
        files.remove_tree(place)
    return Deleted(tuple(line for line in done if line), tuple(left))


def _told(made: Record, stacks: list[str]) -> str:
    return f"all that Terraform made in {made.zone}: {', '.join(stacks)}" if stacks else ""


def _unchanged(made: Record, token: Secret) -> str:
    """Raise ``ProofFailed`` if the zone does not have what it had before the run."""
    reader = Reader(token.reveal(), url=made.cloudflare)
    zone_state.require_equal(made.before, zone_state.lines(reader, zones.find(reader, made.zone)))
    return ""


def _delete(place: Path, connection: Connection, kind: str, path: str, deadline: Deadline) -> str:
    """Delete a group or project, and wait until GitLab knows it no more; its id is written down first."""
    made = records.read(place)
    if made.suffix not in path:
        raise Refused(f"{path} is not a name of this run")
    number = made.ids.get(path)
    if number is None:
        found = namespaces.find(connection, kind, path)
        if found is None:
            return ""
        number = int(str(found["id"]))
        records.write(place, replace(made, ids={**made.ids, path: number}))
    asked: set[bool] = set()
    while (found := namespaces.find(connection, kind, number)) is not None:
        if (stage := namespaces.marked(found)) not in asked:
            asked.add(stage)
            namespaces.delete(connection, kind, found)
        deadline.left()
        clock.sleep(_PAUSE)
    return f"the {kind.removesuffix('s')} {path}"
