"""Builds an app's release: fetches its packages, runs its build command without network, and packs what is left."""

import platform
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from factory.apps import archive, node_files, packages
from factory.apps.archive import CODE, PACKAGES, ReleaseManifest
from factory.apps.resolved import ResolvedApp
from factory.errors import GateFailed, InvalidInput
from factory.model.app_paths import TESTS
from factory.sandbox import launch
from factory.sandbox.launch import Launch, Level
from factory.sandbox.limits import Limits
from factory.system import files, process

_LIMIT = 1800.0
_LIMITS = Limits(memory_bytes=4 * 2**30, processes=512)
_LINES = 30
# What reproducible builds take for the present (https://reproducible-builds.org/specs/source-date-epoch/): zip files
# have no earlier time.
_EPOCH = "315532800"


@dataclass(frozen=True)
class BuildMachine:
    """What builds run with: the environment of programs, the folders that they may read, the level that is needed."""

    env: Mapping[str, str]
    readable: tuple[Path, ...]
    required: Level = Level.HOST


def build(app: ResolvedApp, work: Path, machine: BuildMachine, *, say: Callable[[str], None]) -> bytes:
    """Return the archive of a release of the app whose files are in ``work/app``.

    Raises ``InvalidInput`` for packages that cannot be fetched and files that are not there, ``GateFailed`` with the
    last lines of a build that failed, ``SandboxUnavailable``, ``ToolTimeout`` and ``MachineError``.
    """
    if app.lock:
        say(f"{app.name}: packages of {app.lock}")
    packages.fetch(app, work, env=machine.env, development=bool(app.build))
    if app.build:
        say(f"{app.name}: {' '.join(app.build)}")
        _run(app, work, machine)
        if app.lock == node_files.LOCK and app.kind == "node":
            packages.fetch(app, work, env=machine.env, development=False)
    release = work / "release"
    _stage(app, work, release)
    return archive.pack(release, manifest(app, machine))


def manifest(app: ResolvedApp, machine: BuildMachine) -> ReleaseManifest:
    """Return how a release of the app runs, and what it needs of the machine, which is what it was built with."""
    binary = app.lock if app.kind == "python" else app.kind == "command" and app.build
    needs = {"machine": platform.machine()} if binary else {}
    if app.kind == "python" and app.lock:
        needs["python"] = ".".join(map(str, sys.version_info[:2]))
    if app.kind == "node":
        needs["node"] = node_version(machine.env)
    return replace(described(app), needs=dict(sorted(needs.items())))


def described(app: ResolvedApp) -> ReleaseManifest:
    """Return how a release of the app runs, on any machine."""
    return ReleaseManifest(
        app=app.name,
        kind=app.kind,
        run=app.run,
        variables=app.variables,
        health=app.health,
        listen=app.listen,
        memory_mb=app.memory_mb,
        processes=app.processes,
        state=app.state,
        disk_mb=app.disk_mb,
        migrate=app.migrate,
        secrets=app.secrets,
        database=app.database,
    )


def node_version(env: Mapping[str, str]) -> str:
    """Return the major version of node; raises ``MachineError`` if it is not installed."""
    return process.run(["node", "--version"], env=env).text.strip().removeprefix("v").partition(".")[0]


def _run(app: ResolvedApp, work: Path, machine: BuildMachine) -> None:
    code, home = work / CODE, files.private_folder(work / "home")
    env = {**machine.env, "HOME": str(home), "CI": "true", "SOURCE_DATE_EPOCH": _EPOCH, "npm_config_offline": "true"}
    env |= {"PYTHONPATH": str(work / PACKAGES)} if app.kind == "python" and app.lock else {}
    readable = (*machine.readable, *((work / PACKAGES,) if (work / PACKAGES).exists() else ()))
    wanted = Launch(
        app.build, code, env, writable=(code, home), readable=readable, required=machine.required, limits=_LIMITS
    )
    prepared = launch.prepare(wanted)
    try:
        done = process.run(prepared.argv, env=prepared.env, cwd=prepared.cwd, timeout=_LIMIT, check=False)
    finally:
        launch.put_back(prepared)
    if done.returncode:
        lines = (done.text + done.errors).strip().splitlines()[-_LINES:]
        told = "\n  ".join([f"the build of {app.name} ended with {done.returncode}:", *lines])
        raise GateFailed(told, hint="Builds have no network; packages come from the lock alone.")


def _stage(app: ResolvedApp, work: Path, release: Path) -> None:
    files.remove_tree(release)
    code = work / CODE
    for name in app.files:
        source = code / name
        if not source.exists() or not source.resolve().is_relative_to(code.resolve()):
            raise InvalidInput(f"{app.name} has no {name}, which `build.files` names", hint="See `factory app show`.")
        target = release / CODE / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_without_tests(code, app), dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    if (work / PACKAGES).is_dir():
        shutil.copytree(work / PACKAGES, release / PACKAGES, symlinks=True)


def _without_tests(code: Path, app: ResolvedApp) -> Callable[[str, list[str]], Collection[str]]:
    def left_out(folder: str, names: list[str]) -> Collection[str]:
        found = {name for name in names if name in {"__pycache__", ".git"}}
        if Path(folder) == code and app.kind in {"python", "node"}:
            found |= TESTS & set(names)
        return found

    return left_out
