"""Memberships of projects and groups; members of a group inherit their role in its projects (docs: Members)."""

from collections.abc import Iterable, Iterator

from factory.local_gitlab.serving.call import NO_ROLE, OWNER
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_MEMBER, _GROUP_MEMBER = "member", "group_member"


def add(store: Store, project: Document, user: Document, level: int) -> Document:
    """Add a user to a project; return the membership."""
    return store.add(_MEMBER, _new(user, level), project=project["id"], name=str(user["id"]))


def add_to_group(store: Store, group: Document, user: Document, level: int) -> Document:
    """Add a user to a group; return the membership."""
    return store.add(_GROUP_MEMBER, _new(user, level) | {"_group": group["id"]}, name=_name(group, user["id"]))


def _new(user: Document, level: int) -> Document:
    return {"user_id": user["id"], "access_level": level, "created_at": clock.timestamp(), "expires_at": None}


def _name(group: Document, number: int) -> str:
    return f"{group['id']}/{number}"


def direct(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's direct membership of a project."""
    return store.find(_MEMBER, str(number), project=project["id"])


def inherited(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's strongest membership of a project's parent groups."""
    return _in_groups(store, project["_namespace"], number)


def _in_groups(store: Store, path: str, number: int) -> Document | None:
    """Return a user's strongest membership of the groups in a namespace's path."""
    return _strongest(in_group(store, group, number) for group in _above(store, path))


def find(store: Store, project: Document, number: int) -> Document | None:
    """Return a user's strongest membership of a project, its parent groups, or the groups that it is shared with."""
    shared = (item for item in _of_shares(store, project) if item["user_id"] == number)
    return _strongest((direct(store, project, number), inherited(store, project, number), *shared))


def of_project(store: Store, project: Document) -> list[Document]:
    """Return the direct members of a project."""
    return store.all(_MEMBER, project=project["id"])


def of_all(store: Store, project: Document) -> list[Document]:
    """Return the strongest membership of each member of a project, its parent groups, and those it is shared with."""
    found = [*of_project(store, project), *_of_shares(store, project)]
    for group in _above(store, project["_namespace"]):
        found += of_group(store, group)
    return _by_person(found)


def shares(store: Store, project: Document) -> list[tuple[Document, Document]]:
    """Return the groups that a project is shared with, each with the share: access level and expiry date."""
    found = ((store.get("namespace", share["group_id"]), share) for share in project.get("_shares", []))
    return [(group, share) for group, share in found if group]


def _of_shares(store: Store, project: Document) -> Iterator[Document]:
    """Yield the memberships by shares, with the lower of the two access levels (docs: Share a project with a group)."""
    for group, share in shares(store, project):
        if not _expired(share):
            for member in of_group_and_above(store, group):
                yield member | {"access_level": min(member["access_level"], share["group_access"])}


def _by_person(members: Iterable[Document]) -> list[Document]:
    """Return each person's strongest membership."""
    found = list(members)
    people = dict.fromkeys(item["user_id"] for item in found)
    return [item for person in people if (item := _strongest(one for one in found if one["user_id"] == person))]


def of_group(store: Store, group: Document) -> list[Document]:
    """Return the direct members of a group."""
    return store.all(_GROUP_MEMBER, _group=group["id"])


def of_group_and_above(store: Store, group: Document) -> list[Document]:
    """Return the strongest membership of each direct or inherited member of a group."""
    return _by_person(item for above in _above(store, group["full_path"]) for item in of_group(store, above))


def of_user(store: Store, number: int) -> list[Document]:
    """Return a user's direct memberships of projects and groups."""
    return [item for kind in (_MEMBER, _GROUP_MEMBER) for item in store.all(kind, user_id=number)]


def owned_alone(store: Store, number: int) -> list[Document]:
    """Return the groups without any other direct owner than a user."""
    groups = []
    for item in store.all(_GROUP_MEMBER, user_id=number, access_level=OWNER):
        group = store.get("namespace", item["_group"])
        if group and not any(_is_other_owner(one, number) for one in of_group(store, group)):
            groups.append(group)
    return groups


def _is_other_owner(member: Document, number: int) -> bool:
    return bool(member["user_id"] != number and member["access_level"] == OWNER)


def in_group(store: Store, group: Document, number: int) -> Document | None:
    """Return a user's direct membership of a group."""
    return store.find(_GROUP_MEMBER, _name(group, number))


def level(store: Store, project: Document, number: int) -> int:
    """Return a user's access level in a project; 0 without a membership or after it expired."""
    return _level(find(store, project, number))


def level_in_group(store: Store, group: Document, number: int) -> int:
    """Return a user's access level in a group, direct or inherited; 0 without a membership or after it expired."""
    return _level(_in_groups(store, group["full_path"], number))


def _level(found: Document | None) -> int:
    return found["access_level"] if found and not _expired(found) else NO_ROLE


def keep(store: Store, member: Document) -> Document:
    """Save a changed membership; return it."""
    return store.save(_kind(member), member)


def remove(store: Store, member: Document) -> None:
    """Delete a membership."""
    store.delete(_kind(member), member)


def _kind(member: Document) -> str:
    return _GROUP_MEMBER if "_group" in member else _MEMBER


def _above(store: Store, path: str) -> Iterator[Document]:
    """Yield the groups in a namespace's path, the outermost first."""
    parts = path.split("/")
    for count in range(len(parts)):
        group = store.find("namespace", "/".join(parts[: count + 1]))
        if group and group["kind"] == "group":
            yield group


def _strongest(found: Iterable[Document | None]) -> Document | None:
    existing = (item for item in found if item)
    return max(existing, key=lambda item: (not _expired(item), item["access_level"]), default=None)


def _expired(member: Document) -> bool:
    return bool(member["expires_at"]) and member["expires_at"] <= clock.timestamp()[:10]
