"""Plans and applies a project's settings, and reads them again after an apply."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab.connect import Connection, translated
from factory.gitlab.settings import approvals, compare, objects, project, protection, runners, variables
from factory.gitlab.settings.model import (
    Difference,
    Fields,
    MissingObject,
    Section,
    Server,
    State,
    Tier,
    UnsupportedField,
)
from factory.model.secret import Secret

# In the order of changes: first members, then protection, then everything that starts jobs.
SECTIONS: tuple[Section, ...] = (
    objects.MEMBERS,
    protection.BRANCHES,
    protection.TAGS,
    protection.ENVIRONMENTS,
    approvals.APPROVALS,
    project.PROJECT,
    project.PUSH_RULE,
    project.JOB_TOKEN,
    variables.VARIABLES,
    runners.RUNNERS,
    objects.LABELS,
    objects.RESOURCE_GROUPS,
    objects.SCHEDULES,
    objects.HOOKS,
)


@dataclass(frozen=True)
class DesiredSection:
    """The desired state of a section; ``enforce`` removes what it does not name (see ``Section.patterns``)."""

    state: State
    enforce: bool = False


@dataclass(frozen=True)
class Plan:
    """The differences, unsupported fields, missing objects and unnamed objects (section and key)."""

    tier: Tier
    differences: tuple[Difference, ...]
    unenforced: tuple[UnsupportedField, ...]
    absent: tuple[MissingObject, ...]
    unmanaged: tuple[tuple[str, str], ...]
    fields: int

    @property
    def in_sync(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def opened(
    connection: Connection, *, acting: Mapping[str, Connection], hook_token: Callable[[], Secret] | None = None
) -> Server:
    """Return the project's server with its tier and members; ``acting`` and ``hook_token`` are as for ``Server``."""
    with translated("list the members"):
        path = f"{connection.api}/members/all"
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        accounts = {str(item["username"]): int(item["id"]) for item in found}
    return Server(connection, tier(connection), accounts, acting, hook_token)


def tier(connection: Connection) -> Tier:
    """Return the project's tier: Free answers 404 to the list of protected environments."""
    try:
        with translated("list protected environments"):
            connection.client.http_get(f"{connection.api}/protected_environments")
    except NotFound:
        return "free"
    return "premium"


def plan(server: Server, wanted: Mapping[str, DesiredSection]) -> Plan:
    """Return the differences from the desired state, given by section name; other sections are ignored."""
    return _look(server, wanted)[0]


def _look(server: Server, wanted: Mapping[str, DesiredSection]) -> tuple[Plan, dict[str, State]]:
    """Return the plan, and the existing state of each section."""
    seen: dict[str, State] = {}
    found: list[Difference] = []
    lost: list[UnsupportedField] = []
    awaited: list[MissingObject] = []
    others: list[tuple[str, str]] = []
    fields = 0
    for section in SECTIONS:
        if section.name not in wanted:
            continue
        desired = wanted[section.name]
        fields += sum(len(item) for item in desired.state.values())
        fits, missing = compare.fitted(section, desired.state, server.tier)
        lost += missing
        if section.premium and server.tier == "free":
            continue
        existing = seen[section.name] = section.read(server)
        unmade = compare.absent(section, fits, existing)
        awaited += unmade
        fields -= sum(len(fits[item.key]) for item in unmade)
        passed = {item.key for item in unmade}
        fits = {key: value for key, value in fits.items() if key not in passed}
        found += compare.differences(section, fits, existing, enforce=desired.enforce)
        covers = protection.left_covers(desired.state, existing) if section is protection.BRANCHES else []
        found += [
            Difference(section.name, key, "", "left over from an interrupted apply", None, "extra") for key in covers
        ]
        gone = {item.key for item in found if (item.section, item.kind) == (section.name, "extra")}
        others += [(section.name, key) for key in compare.unmanaged(desired.state, existing) if key not in gone]
    return Plan(server.tier, tuple(found), tuple(lost), tuple(awaited), tuple(others), fields), seen


def apply(server: Server, wanted: Mapping[str, DesiredSection], *, say: Callable[[str], None]) -> Plan:
    """Apply the differences, read the settings again, and return what still differs.

    Extra objects are removed last, in reverse order, so that each is removed before the objects it depends on. After an
    interruption, call it again to continue.
    """
    planned, seen = _look(server, wanted)
    if planned.in_sync:
        return planned
    for section in SECTIONS:
        keys = _keys(planned, section, extra=False)
        fits, _ = compare.fitted(section, wanted[section.name].state, server.tier) if keys else ({}, ())
        for key in keys:
            _write(server, section, key, fits[key], seen[section.name].get(key))
            say(f"{section.name}: {key}")
        if keys and section is objects.MEMBERS:
            # Rules name accounts, and the accounts that were just added were missing from the earlier read.
            server = opened(server.connection, acting=server.acting, hook_token=server.hook_token)
            _, seen = _look(server, wanted)
    for section in reversed(SECTIONS):
        if section.drop is None:
            continue
        keys = _keys(planned, section, extra=True)
        # Read again: a change above may have removed an object, as it removes covers.
        existing = section.read(server) if keys else {}
        # The last one first, because keys of duplicates count from the oldest.
        for key in reversed(keys):
            if key in existing:
                section.drop(server, key, existing[key])
                say(f"{section.name}: {key} is removed")
    return plan(server, wanted)


def _write(server: Server, section: Section, key: str, wanted: Fields, found: Fields | None) -> None:
    """Write an object that was read as ``found``; another client may write the same one at the same time."""
    try:
        section.write(server, key, wanted, found)
    except (Conflict, InvalidInput):
        now = section.read(server).get(key)
        if now is None or now == found:
            raise
        section.write(server, key, wanted, now)
    if found is None and section.repeatable:
        _drop_repeats(server, section, key)


def _drop_repeats(server: Server, section: Section, key: str) -> None:
    """Remove equal objects that are newer than the one named ``key``: each of two clients may have made one."""
    now = section.read(server)
    for name in reversed(list(now)):
        if section.drop and name.startswith(f"{key} (") and now[name] == now[key]:
            with suppress(NotFound):  # the other client has removed it
                section.drop(server, name, now[name])


def _keys(planned: Plan, section: Section, *, extra: bool) -> list[str]:
    """Return the distinct keys of a section that differ: the extra ones, or the others."""
    mine = (item for item in planned.differences if item.section == section.name)
    return list(dict.fromkeys(item.key for item in mine if (item.kind == "extra") is extra))


def settle(server: Server, wanted: Mapping[str, DesiredSection], *, say: Callable[[str], None]) -> Plan:
    """Apply; raise ``Refused`` if a field still differs afterwards."""
    left = apply(server, wanted, say=say)
    if not left.in_sync:
        first = left.differences[0]
        raise Refused(f"GitLab did not keep {first.section}: {first.key}: {first.field}")
    return left
