"""Replaces the factory that a repository carries by the installed one, and merges what the templates changed."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from factory.errors import Conflict, InvalidInput
from factory.operations.repository import starter, toolkit_wheel
from factory.operations.repository.app_detection import PIPELINE
from factory.operations.repository.starter import Layout

Merge = Callable[[bytes, bytes, bytes], bytes | None]
"""Takes the person's, the earlier and the new text; returns the merged one, or ``None`` where they conflict."""
_DEFAULTS = "factory/defaults/"
# Texts for people and agents, which a repository words itself; a change of their templates gives no conflict.
_OWN_WORDS = {starter.AGENTS, starter.README}


@dataclass(frozen=True)
class WheelUpgrade:
    """The files to write by path (``None`` deletes one), and the versions before and after.

    ``replaced`` tells whether the wheel is another one, ``own_pipeline`` whether the repository's own pipeline becomes
    a child pipeline.
    """

    files: Mapping[str, bytes | None]
    before: str
    after: str
    replaced: bool = False
    own_pipeline: bool = False


def carried(paths: frozenset[str]) -> str:
    """Return the path of the wheel that a repository carries, or an empty text; raises ``InvalidInput`` for several."""
    found = [path for path in paths if path.startswith(f"{starter.TOOLKIT}/factory-") and path.endswith(".whl")]
    if len(found) > 1:
        raise InvalidInput(f"{starter.TOOLKIT} has {len(found)} wheels", hint="Delete all but the one that is in use.")
    return found[0] if found else ""


def made(layout: Layout, paths: frozenset[str], read: Callable[[str], bytes], *, merge: Merge) -> WheelUpgrade:
    """Return the upgrade of a repository; without files if it carries the installed factory, and nothing else is new.

    A repository that has gained a pipeline of its own gets the job that starts it. Raises ``Conflict`` with the files
    in which the person's changes and those of the templates conflict.
    """
    path = carried(paths)
    old, installed = read(path), toolkit_wheel.pack()
    before, after = path.split("-")[1], toolkit_wheel.name().split("-")[1]
    # Their lists of files and hashes: another machine may compress the same files to other bytes.
    same = _record(old) == _record(installed)
    gained = PIPELINE in paths and starter.CHILD not in paths
    earlier = starter.contents(replace(layout, pipeline=layout.pipeline and not gained), package=package_of(old))
    changed = merged(
        earlier, starter.contents(layout), paths, read, merge=merge, what=f"factory {after}" if not same else PIPELINE
    )
    wheel: dict[str, bytes | None] = {} if same else {path: None, **starter.toolkit()}
    came = gained and starter.CHILD in changed
    return WheelUpgrade(wheel | changed, before, after, replaced=not same, own_pipeline=came)


def merged(
    earlier: Mapping[str, bytes],
    new: Mapping[str, bytes],
    paths: frozenset[str],
    read: Callable[[str], bytes],
    *,
    merge: Merge,
    what: str,
) -> dict[str, bytes | None]:
    """Return the changed files of a repository whose templates gave ``earlier`` and give ``new`` (``None``: deleted).

    What a person deleted, or words in their own way, stays so. Raises ``Conflict`` with the files in which ``what`` and
    the person's changes conflict.
    """
    changed: dict[str, bytes | None] = {}
    conflicts = []
    for name in sorted({*earlier, *new}):
        base, text = earlier.get(name), new.get(name)
        ours = read(name) if name in paths else None
        if text in {base, ours}:
            continue
        if ours == base:
            changed[name] = text
        elif base is None:
            conflicts.append(name)
        elif ours is not None and text is not None and name not in _OWN_WORDS:
            found = merge(ours, base, text)
            conflicts += [name] if found is None else []
            changed |= {name: found} if found != ours else {}
    if conflicts:
        raise Conflict(
            f"{what} conflicts with your changes in {', '.join(conflicts)}",
            hint="Take your changes back there, run this again, and make them once more.",
        )
    return changed


def package_of(wheel: bytes) -> dict[str, bytes]:
    """Return the files in a wheel that the package carries for a repository, by their path below ``defaults``.

    Raises ``InvalidInput`` for what is not a wheel.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            return {
                name.removeprefix(_DEFAULTS): archive.read(name)
                for name in archive.namelist()
                if name.startswith(_DEFAULTS) and not name.endswith("/")
            }
    except zipfile.BadZipFile as error:
        raise InvalidInput(
            f"the wheel in {starter.TOOLKIT} is damaged: {error}", hint="Bring it back with `git checkout`."
        ) from error


def _record(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(item for item in archive.namelist() if item.endswith(".dist-info/RECORD"))
        return archive.read(name)
