"""Reads a project's settings, says what differs, and makes it so; what was made is read again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import NotFound, Refused
from factory.gitlab.connect import Connection, translated
from factory.gitlab.settings import approvals, compare, objects, project, protection, runners, variables
from factory.gitlab.settings.model import Difference, Fields, Section, Server, State, Tier, Unenforced

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
class Wanted:
    """What a section shall be; with ``enforce`` what it does not name is removed."""

    state: State
    enforce: bool = False


@dataclass(frozen=True)
class Plan:
    """What differs, what this tier can't hold, and what is there that nobody asked for (``section: key``)."""

    tier: Tier
    differences: tuple[Difference, ...]
    unenforced: tuple[Unenforced, ...]
    unmanaged: tuple[str, ...]
    fields: int

    @property
    def in_sync(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def opened(connection: Connection, *, acting: Mapping[str, Connection]) -> Server:
    """Return the project's server: its tier by what it answers, and the accounts that are members.

    ``acting`` are other accounts' connections by user name, for what only an account itself can do.
    """
    with translated("list the members"):
        path = f"{connection.api}/members/all"
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        accounts = {str(item["username"]): int(item["id"]) for item in found}
    return Server(connection, tier(connection), accounts, acting)


def tier(connection: Connection) -> Tier:
    """Return what the server grants the project: GitLab Free answers 404 where Premium lists protected environments."""
    try:
        with translated("look for protected environments"):
            connection.client.http_get(f"{connection.api}/protected_environments")
    except NotFound:
        return "free"
    return "premium"


def plan(server: Server, wanted: Mapping[str, Wanted]) -> Plan:
    """Return what differs from what is wanted, by section name; a section that is not named is not looked at."""
    return _look(server, wanted)[0]


def _look(server: Server, wanted: Mapping[str, Wanted]) -> tuple[Plan, dict[str, State]]:
    """Return what differs, and what was read of each section."""
    seen: dict[str, State] = {}
    found: list[Difference] = []
    lost: list[Unenforced] = []
    others: list[str] = []
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
        fits = {key: value for key, value in fits.items() if key in there or section.makes(value)}
        found += compare.differences(section.name, fits, there, enforce=asked.enforce)
        covers = protection.left_covers(asked.state, there) if section is protection.BRANCHES else []
        found += [Difference(section.name, key, "", "a cover that was left", None, "extra") for key in covers]
        others += [f"{section.name}: {key}" for key in compare.unmanaged(asked.state, there) if key not in covers]
    return Plan(server.tier, tuple(found), tuple(lost), tuple(others), fields), seen


def apply(server: Server, wanted: Mapping[str, Wanted], *, say: Callable[[str], None]) -> Plan:
    """Make the project what is wanted, and return what still differs when it is read again.

    Where nothing differs nothing is read twice. Interrupted anywhere, it can be called again: it goes on.
    """
    planned, seen = _look(server, wanted)
    if planned.in_sync:
        return planned
    for section in SECTIONS:
        mine = [item for item in planned.differences if item.section == section.name]
        if not mine:
            continue
        fits, _ = compare.fitted(section, wanted[section.name].state, server.tier)
        there = seen[section.name]
        for key in dict.fromkeys(item.key for item in mine):
            _settle(server, section, key, fits.get(key), there)
            say(f"{section.name}: {key}")
        if section is objects.MEMBERS:
            # Rules name accounts; who is a member now was not one when they were read.
            server = opened(server.connection, acting=server.acting)
            _, seen = _look(server, wanted)
    return plan(server, wanted)


def settle(server: Server, wanted: Mapping[str, Wanted], *, say: Callable[[str], None]) -> Plan:
    """Apply; raise ``Refused`` where GitLab did not keep something of it."""
    left = apply(server, wanted, say=say)
    if not left.in_sync:
        first = left.differences[0]
        raise Refused(f"GitLab did not keep {first.section}: {first.key}: {first.field}")
    return left


def _settle(server: Server, section: Section, key: str, wanted: Fields | None, there: State) -> None:
    if wanted is not None:
        section.write(server, key, wanted, there.get(key))
    elif section.drop is not None and key in there:
        section.drop(server, key, there[key])
