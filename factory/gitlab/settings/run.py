"""Reads a project's settings, says what differs, and makes it so; what was made is read again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import NotFound, Refused
from factory.gitlab.connect import Connection, translated
from factory.gitlab.settings import approvals, compare, objects, project, protection, runners, variables
from factory.gitlab.settings.model import Difference, MissingObject, Section, Server, State, Tier, UnsupportedField
from factory.model.secret import Secret

# In the order in which they are changed: who is there, what is guarded, and only then what runs.
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
    """What a section shall be; with ``enforce`` what it does not name is removed where it is in the way."""

    state: State
    enforce: bool = False


@dataclass(frozen=True)
class Plan:
    """What differs, what this tier can't hold, what is not made yet, what nobody asked for (section and key)."""

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
    """Return the project's server: its tier by what it answers, and the accounts that are members.

    ``acting`` are other accounts' connections by user name, for what only an account itself can do.
    """
    with translated("list the members"):
        path = f"{connection.api}/members/all"
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        accounts = {str(item["username"]): int(item["id"]) for item in found}
    return Server(connection, tier(connection), accounts, acting, hook_token)


def tier(connection: Connection) -> Tier:
    """Return what the server grants the project: GitLab Free answers 404 where Premium lists protected environments."""
    try:
        with translated("look for protected environments"):
            connection.client.http_get(f"{connection.api}/protected_environments")
    except NotFound:
        return "free"
    return "premium"


def plan(server: Server, wanted: Mapping[str, DesiredSection]) -> Plan:
    """Return what differs from what is wanted, by section name; a section that is not named is not looked at."""
    return _look(server, wanted)[0]


def _look(server: Server, wanted: Mapping[str, DesiredSection]) -> tuple[Plan, dict[str, State]]:
    """Return what differs, and what was read of each section."""
    seen: dict[str, State] = {}
    found: list[Difference] = []
    lost: list[UnsupportedField] = []
    awaited: list[MissingObject] = []
    others: list[tuple[str, str]] = []
    fields = 0
    for section in SECTIONS:
        if section.name not in wanted:
            continue
        asked = wanted[section.name]
        fields += sum(len(item) for item in asked.state.values())
        fits, missing = compare.fitted(section, asked.state, server.tier)
        lost += missing
        if section.premium and server.tier == "free":
            continue
        there = seen[section.name] = section.read(server)
        unmade = compare.absent(section, fits, there)
        awaited += unmade
        fields -= sum(len(fits[item.key]) for item in unmade)
        passed = {item.key for item in unmade}
        fits = {key: value for key, value in fits.items() if key not in passed}
        found += compare.differences(section, fits, there, enforce=asked.enforce)
        covers = protection.left_covers(asked.state, there) if section is protection.BRANCHES else []
        found += [Difference(section.name, key, "", "a cover that was left", None, "extra") for key in covers]
        gone = {item.key for item in found if (item.section, item.kind) == (section.name, "extra")}
        others += [(section.name, key) for key in compare.unmanaged(asked.state, there) if key not in gone]
    return Plan(server.tier, tuple(found), tuple(lost), tuple(awaited), tuple(others), fields), seen


def apply(server: Server, wanted: Mapping[str, DesiredSection], *, say: Callable[[str], None]) -> Plan:
    """Make the project what is wanted, and return what still differs when it is read again.

    What shall not be there goes last, in the opposite order: nothing loses what it leans on. Where nothing differs
    nothing is read twice. Interrupted anywhere, it can be called again: it goes on.
    """
    planned, seen = _look(server, wanted)
    if planned.in_sync:
        return planned
    for section in SECTIONS:
        keys = _keys(planned, section, extra=False)
        fits, _ = compare.fitted(section, wanted[section.name].state, server.tier) if keys else ({}, ())
        for key in keys:
            section.write(server, key, fits[key], seen[section.name].get(key))
            say(f"{section.name}: {key}")
        if keys and section is objects.MEMBERS:
            # Rules name accounts; who is a member now was not one when they were read.
            server = opened(server.connection, acting=server.acting, hook_token=server.hook_token)
            _, seen = _look(server, wanted)
    for section in reversed(SECTIONS):
        if section.drop is None:
            continue
        keys = _keys(planned, section, extra=True)
        # Read again: what was changed above may have taken one away, as a cover is by the rule that it covered.
        there = section.read(server) if keys else {}
        # The last one first: names of several alike count from the oldest.
        for key in reversed(keys):
            if key in there:
                section.drop(server, key, there[key])
                say(f"{section.name}: {key} is gone")
    return plan(server, wanted)


def _keys(planned: Plan, section: Section, *, extra: bool) -> list[str]:
    """Return the keys of a section that differ, once each: those that shall not be there, or the others."""
    mine = (item for item in planned.differences if item.section == section.name)
    return list(dict.fromkeys(item.key for item in mine if (item.kind == "extra") is extra))


def settle(server: Server, wanted: Mapping[str, DesiredSection], *, say: Callable[[str], None]) -> Plan:
    """Apply; raise ``Refused`` where GitLab did not keep something of it."""
    left = apply(server, wanted, say=say)
    if not left.in_sync:
        first = left.differences[0]
        raise Refused(f"GitLab did not keep {first.section}: {first.key}: {first.field}")
    return left
