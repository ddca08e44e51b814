"""Runs what works on an app's state and then ends: the migration of a release, and the copy of the state."""

from collections.abc import Mapping
from pathlib import Path

from factory.apps import running
from factory.apps.archive import ReleaseManifest
from factory.apps.running import RunMachine
from factory.errors import ToolFailed, ToolTimeout
from factory.sandbox import launch
from factory.sandbox.launch import Launch
from factory.sandbox.limits import Limits
from factory.system import files, process

_LINES = 10
_MIB = 2**20
# A copy reads what an app wrote: it gets less than the app itself.
_COPY = Limits(memory_bytes=512 * _MIB, processes=16)


def migrate(
    folder: Path,
    manifest: ReleaseManifest,
    machine: RunMachine,
    *,
    name: str,
    place: Path,
    state: Path,
    variables: Mapping[str, str],
    seconds: float,
) -> str:
    """Run the migration of an unpacked release on a state and a database, confined like it; return what it printed.

    Raises ``ToolFailed`` with its last lines if it fails or takes longer than some seconds, and ``MachineError``.
    """
    words = {"RELEASE": name}
    if manifest.state:
        words["STATE_DIRECTORY"] = str(files.private_folder(state))
    files.private_folder(place)
    wanted = running.launched(
        folder, manifest, machine, manifest.migrate, words=words, place=place, variables=variables
    )
    return _run(wanted, "the migration", seconds)


def copy(source: Path, target: Path, machine: RunMachine, *, seconds: float) -> None:
    """Copy the folder of a state into a new folder, behind the launch door, also while its app runs.

    Raises ``ToolFailed`` and ``MachineError``.
    """
    files.remove_tree(target)
    files.private_folder(target)
    wanted = Launch(
        (process.python(), "-I", "-m", "factory.apps.state_copy", str(source), str(target)),
        target,
        {"PATH": machine.path, "LANG": "C.UTF-8"},
        # SQLite also writes beside a database that it only reads (https://sqlite.org/wal.html#read_only_databases).
        writable=(source, target),
        readable=machine.readable,
        required=machine.required,
        limits=_COPY,
    )
    _run(wanted, "the copy of the state", seconds)


def _run(wanted: Launch, what: str, seconds: float) -> str:
    prepared = launch.prepare(wanted)
    try:
        done = process.run(prepared.argv, env=prepared.env, cwd=prepared.cwd, timeout=seconds, check=False)
    except ToolTimeout:
        raise ToolFailed(f"{what} took longer than {seconds:g} s") from None
    finally:
        launch.put_back(prepared)
    said = (done.text + done.errors).strip()
    if done.returncode:
        raise ToolFailed("\n  ".join([f"{what} ended with {done.returncode}:", *said.splitlines()[-_LINES:]]))
    return said
