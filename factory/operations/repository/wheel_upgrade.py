"""Replaces the factory that a repository carries by the installed one, and merges what the templates changed."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from factory.errors import Conflict, InvalidInput
from factory.operations.repository import starter, toolkit_wheel
from factory.operations.repository.app_detection import DetectedApp

Merge = Callable[[bytes, bytes, bytes], bytes | None]
"""Takes the person's, the earlier and the new text; returns the merged one, or ``None`` where they conflict."""


@dataclass(frozen=True)
class WheelUpgrade:
    """The files to write by path (``None`` deletes one), and the versions before and after."""

    files: Mapping[str, bytes | None]
    before: str
    after: str


def carried(paths: frozenset[str]) -> str:
    """Return the path of the wheel that a repository carries, or an empty text; raises ``InvalidInput`` for several."""
    found = [path for path in paths if path.startswith(f"{starter.TOOLKIT}/factory-") and path.endswith(".whl")]
    if len(found) > 1:
        raise InvalidInput(f"{starter.TOOLKIT} has {len(found)} wheels", hint="Delete all but the one that is in use.")
    return found[0] if found else ""


def made(app: DetectedApp, paths: frozenset[str], read: Callable[[str], bytes], *, merge: Merge) -> WheelUpgrade:
    """Return the upgrade of a repository, whose app is ``app``; without files if the wheel is the installed factory.

    Raises ``Conflict`` with the files in which the person's changes and those of the templates conflict.
    """
    path = carried(paths)
    app = replace(app, pipeline=f"{starter.TOOLKIT}/{starter.CHILD}" in paths)
    old, installed = read(path), toolkit_wheel.pack()
    before, after = path.split("-")[1], toolkit_wheel.name().split("-")[1]
    # Their lists of files and hashes: another machine may compress the same files to other bytes.
    if _record(old) == _record(installed):
        return WheelUpgrade({}, before, after)
    new = starter.contents(app) | {f"{starter.TOOLKIT}/{toolkit_wheel.name()}": installed}
    earlier = starter.contents(app, template=_template_of(old))
    changed: dict[str, bytes | None] = {path: None}
    conflicts = []
    for name, text in new.items():
        base, ours = earlier.get(name), read(name) if name in paths else None
        if ours == base or name.endswith(".whl"):
            changed[name] = text
        elif ours is not None and base is not None and text != base and name != starter.AGENTS:
            changed[name] = merge(ours, base, text)
            conflicts += [name] if changed[name] is None else []
    if conflicts:
        raise Conflict(
            f"factory {after} conflicts with your changes in {', '.join(conflicts)}",
            hint="Take your changes back there, upgrade, and make them again.",
        )
    same = {name for name, text in changed.items() if text is not None and name in paths and read(name) == text}
    return WheelUpgrade({name: text for name, text in changed.items() if name not in same}, before, after)


def _record(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(item for item in archive.namelist() if item.endswith(".dist-info/RECORD"))
        return archive.read(name)


def _template_of(wheel: bytes) -> Callable[[str], bytes]:
    """Return a function that reads the files of the package in a wheel by their path below ``defaults``."""

    def read(path: str) -> bytes:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            name = (PurePosixPath("factory/defaults") / path).as_posix()
            return archive.read(name) if name in archive.namelist() else b""

    return read
