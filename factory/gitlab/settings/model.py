"""What settings are made of: sections of keys with fields, compared as values that name accounts and not numbers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from factory.errors import NotFound
from factory.gitlab.connect import Connection
from factory.model.secret import Secret

Fields = Mapping[str, Any]
# By key: a branch's name, a label's, …; one that has a single object has its own name as key.
State = Mapping[str, Fields]
Tier = Literal["free", "premium"]

# GitLab docs: Protected branches API, valid access levels; Members API, roles.
LEVELS: Mapping[str, int] = {
    "nobody": 0,
    "guest": 10,
    "planner": 15,
    "reporter": 20,
    "developer": 30,
    "maintainer": 40,
    "owner": 50,
    "admin": 60,
}
_NAMES = {number: name for name, number in LEVELS.items()}


@dataclass(frozen=True)
class Server:
    """A project and what is known of its server: the tier, and the accounts by name (``@name`` in settings).

    ``acting`` are the accounts whose tokens are at hand, for what only an account itself can do; ``hook_token`` gives
    what webhooks that wake the loop carry.
    """

    connection: Connection
    tier: Tier
    accounts: Mapping[str, int]
    acting: Mapping[str, Connection]
    hook_token: Callable[[], Secret] | None = None

    def who(self, name: str) -> dict[str, int]:
        """Return how GitLab writes a role or ``@account``; raises ``NotFound`` for an account it does not have here."""
        if not name.startswith("@"):
            return {"access_level": LEVELS[name]}
        if name[1:] not in self.accounts:
            raise NotFound(f"{name} is no member of {self.connection.project_path}", hint="Make it one first.")
        return {"user_id": self.accounts[name[1:]]}

    def named(self, level: Mapping[str, Any]) -> str:
        """Return a role or account by name, as settings write it."""
        number = level.get("user_id")
        if number is not None:
            return "@" + next((name for name, known in self.accounts.items() if known == number), f"user-{number}")
        if level.get("group_id") is not None:
            return f"group-{level['group_id']}"
        if level.get("deploy_key_id") is not None:
            return f"deploy-key-{level['deploy_key_id']}"
        return role(int(level["access_level"]))


def role(level: int) -> str:
    """Return an access level's name."""
    return _NAMES.get(level, f"level-{level}")


def keyed(items: Iterable[Mapping[str, Any]], name: str) -> dict[str, Mapping[str, Any]]:
    """Return GitLab's objects by the field that names them; of several with one name, later ones as ``name (2)``.

    The oldest is the one that settings mean: each object has a key of its own, so none hides behind another.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for item in sorted(items, key=lambda item: int(item["id"])):
        key = first = str(item[name] or "")
        count = 1
        while key in found:
            count += 1
            key = f"{first} ({count})"
        found[key] = item
    return found


def number_of(found: Mapping[str, Mapping[str, Any]], key: str) -> int:
    """Return the id of one of ``keyed`` objects; raises ``NotFound`` where somebody took it away."""
    if key not in found:
        raise NotFound(f"{key} is gone", hint="Somebody took it away meanwhile; call it again.")
    return int(found[key]["id"])


@dataclass(frozen=True)
class UnsupportedField:
    """A field that this tier can't hold, and what stands in for it."""

    section: str
    key: str
    field: str
    wanted: Any
    substitute: str


@dataclass(frozen=True)
class MissingObject:
    """What shall be, is not there, and is made by something else than an apply."""

    section: str
    key: str
    maker: str


@dataclass(frozen=True)
class Difference:
    """A field that is not as it shall be: ``missing`` has nothing there, ``extra`` shall not be there at all."""

    section: str
    key: str
    field: str
    found: Any
    wanted: Any
    kind: Literal["missing", "differs", "extra"]

    def to_json(self) -> dict[str, Any]:
        """Return the difference as a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class Section:
    """One family of settings and the calls behind it.

    ``read`` gives what is there, ``write`` makes one key what it shall be (``found`` is ``None`` where it is missing),
    ``drop`` removes one. ``fit`` gives what a tier can hold of a key, and what it can't; ``substitute`` stands in for
    all of a section that needs Premium. ``maker`` names what makes a key that is missing where ``write`` can't.
    With ``patterns`` keys are names with stars, and what nobody asked for is in the way only where it covers a name
    that somebody asked for: of several rules GitLab lets in whom any of them does. ``unspecified`` are fields that
    older servers take and never show: there they are written and not compared.
    """

    name: str
    read: Callable[[Server], State]
    write: Callable[[Server, str, Fields, Fields | None], None]
    drop: Callable[[Server, str, Fields], None] | None = None
    premium: bool = False
    substitute: str = ""
    fit: Callable[[str, Fields], tuple[Fields, tuple[UnsupportedField, ...]]] | None = None
    maker: Callable[[Fields], str] = lambda _: ""
    unspecified: frozenset[str] = frozenset()
    patterns: bool = False
