"""Who has which role: members of a project, and of the groups above it, whose roles reach down (docs: Members)."""

from collections.abc import Iterable, Iterator

from factory.local_gitlab.serving.call import NO_ROLE
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_MEMBER, _GROUP_MEMBER = "member", "group_member"


def add(store: Store, project: Document, user: Document, level: int) -> Document:
    """Make a user a member of a project; return the membership."""
    return store.add(_MEMBER, _new(user, level), project=project["id"], name=str(user["id"]))


def add_to_group(store: Store, group: Document, user: Document, level: int) -> Document:
    """Make a user a member of a group; return the membership."""
    return store.add(_GROUP_MEMBER, _new(user, level) | {"_group": group["id"]}, name=_name(group, user["id"]))


def _new(user: Document, level: int) -> Document:
    return {"user_id": user["id"], "access_level": level, "created_at": clock.timestamp(), "expires_at": None}


def _name(group: Document, number: int) -> str:
    return f"{group['id']}/{number}"


def direct(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's membership of the project itself."""
    return store.find(_MEMBER, str(number), project=project["id"])


def inherited(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's strongest membership of the groups above a project."""
    return _in_groups(store, project["_namespace"], number)


def _in_groups(store: Store, path: str, number: int) -> Document | None:
    """Return a user's strongest membership of the groups of a namespace's path."""
    return _strongest(in_group(store, group, number) for group in _above(store, path))


def find(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's strongest membership, of the project or of a group above it."""
    return _strongest((direct(store, project, number), inherited(store, project, number)))


def of_project(store: Store, project: Document) -> list[Document]:
    """Return the members of the project itself."""
    return store.all(_MEMBER, project=project["id"])


def of_all(store: Store, project: Document) -> list[Document]:
    """Return everybody's strongest membership, of the project or of a group above it."""
    found = of_project(store, project)
    for group in _above(store, project["_namespace"]):
        found += of_group(store, group)
    people = dict.fromkeys(item["user_id"] for item in found)
    return [item for person in people if (item := _strongest(one for one in found if one["user_id"] == person))]


def of_group(store: Store, group: Document) -> list[Document]:
    """Return the members of the group itself."""
    return store.all(_GROUP_MEMBER, _group=group["id"])


def in_group(store: Store, group: Document, number: int) -> Document | None:
    """Return a user's membership of the group itself."""
    return store.find(_GROUP_MEMBER, _name(group, number))


def level(store: Store, project: Document, number: int) -> int:
    """Return a user's access level in a project; 0 for nobody's and for one that has ended."""
    return _level(find(store, project, number))


def level_in_group(store: Store, group: Document, number: int) -> int:
    """Return a user's access level in a group, by itself or by one above it; 0 for nobody's."""
    return _level(_in_groups(store, group["full_path"], number))


def _level(found: Document | None) -> int:
    return found["access_level"] if found and not _ended(found) else NO_ROLE


def keep(store: Store, member: Document) -> Document:
    """Save a membership that was changed; return it."""
    return store.save(_kind(member), member)


def remove(store: Store, member: Document) -> None:
    """End a membership."""
    store.delete(_kind(member), member)


def _kind(member: Document) -> str:
    return _GROUP_MEMBER if "_group" in member else _MEMBER


def _above(store: Store, path: str) -> Iterator[Document]:
    """Yield the groups of a namespace's path, the outermost first."""
    parts = path.split("/")
    for count in range(len(parts)):
        group = store.find("namespace", "/".join(parts[: count + 1]))
        if group and group["kind"] == "group":
            yield group


def _strongest(found: Iterable[Document | None]) -> Document | None:
    there = (item for item in found if item)
    return max(there, key=lambda item: (not _ended(item), item["access_level"]), default=None)


def _ended(member: Document) -> bool:
    return bool(member["expires_at"]) and member["expires_at"] <= clock.timestamp()[:10]
