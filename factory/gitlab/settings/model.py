"""The types of settings: sections of keys with fields, in which values name accounts instead of ids."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from factory.errors import NotFound
from factory.gitlab.connect import Connection
from factory.model.secret import Secret

Fields = Mapping[str, Any]
# By key, such as a branch or label name; a section with a single object uses the section's name as key.
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
    """A project, its tier, and the ids of its members by user name (``@name`` in settings).

    ``acting`` are connections by user name, for calls that only that account can make. ``hook_token`` returns the
    secret token of webhooks.
    """

    connection: Connection
    tier: Tier
    accounts: Mapping[str, int]
    acting: Mapping[str, Connection]
    hook_token: Callable[[], Secret] | None = None

    def who(self, name: str) -> dict[str, int]:
        """Return a role or ``@account`` as API parameter; raises ``NotFound`` if the account is not a member."""
        if not name.startswith("@"):
            return {"access_level": LEVELS[name]}
        if name[1:] not in self.accounts:
            raise NotFound(
                f"{name} is not a member of {self.connection.project_path}",
                hint="Add the account to the project first.",
            )
        return {"user_id": self.accounts[name[1:]]}

    def named(self, level: Mapping[str, Any]) -> str:
        """Return an API access level as settings write it: a role or ``@account``."""
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
    """Return GitLab's objects by their field ``name``; newer objects with the same name get keys like ``name (2)``.

    Settings name the oldest; each object has its own key, so none is overlooked.
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
    """Return the id of one of ``keyed`` objects; raises ``NotFound`` if it was deleted in the meantime."""
    if key not in found:
        raise NotFound(
            f"{key} does not exist any more", hint="Somebody deleted it in the meantime; run the command again."
        )
    return int(found[key]["id"])


@dataclass(frozen=True)
class UnsupportedField:
    """A field that this tier does not support, and its substitute."""

    section: str
    key: str
    field: str
    wanted: Any
    substitute: str


@dataclass(frozen=True)
class MissingObject:
    """A missing object that an apply can't create; ``maker`` names what creates it."""

    section: str
    key: str
    maker: str


@dataclass(frozen=True)
class Difference:
    """A field that differs: its object is ``missing``, is ``extra``, or has another value."""

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
    """One family of settings and its API calls.

    ``read`` returns the existing state. ``write`` creates or changes one key; it gets ``None`` for a missing one.
    ``drop`` removes a key. ``fit`` splits a key into the fields that Free supports and the unsupported ones;
    ``substitute`` describes what replaces a whole Premium section on Free. ``maker`` names what creates a missing key
    if ``write`` can't.

    With ``patterns``, keys are names with wildcards. An unnamed key is then ``extra`` only if it matches a name in the
    desired state, because GitLab grants access if any matching rule does. ``unspecified`` are fields that older servers
    accept but do not return; if they are not returned, they are not compared. ``repeatable`` says that GitLab makes a
    second object of the same name.
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
    repeatable: bool = False
