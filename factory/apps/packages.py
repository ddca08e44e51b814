"""Fetches the packages that an app's lock names, without running any code of theirs or of the app.

Wheels alone are installed, and npm runs no install scripts. The registries are those of this machine's own
configuration: the app's own files, such as ``.npmrc``, are not there when its packages are fetched.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from factory.apps.archive import CODE, PACKAGES
from factory.apps.node_files import LOCK, MODULES, PACKAGE
from factory.apps.resolved import ResolvedApp
from factory.errors import InvalidInput, MachineError
from factory.system import files, process

_LIMIT = 900.0
_UV_LOCK, _PYPROJECT = "uv.lock", "pyproject.toml"
_SAID = 3
_REGISTRY = re.compile(r"https?://[^ ]+\.tgz")


def fetch(app: ResolvedApp, work: Path, *, env: Mapping[str, str], development: bool) -> None:
    """Install the packages of the app in ``work/app`` where a release has them; ``development`` with those of builds.

    Raises ``InvalidInput`` if a package cannot be had as the lock says, ``MachineError`` without uv or npm.
    """
    if not app.lock:
        return
    scratch = work / "lock"
    files.remove_tree(scratch)
    given = {**env, "HOME": str(files.private_folder(work / "home"))}
    if app.lock == LOCK:
        _npm(work, scratch, given, development=development)
    elif app.kind == "python":
        _uv(app.lock, work, scratch, given)


def fetch_node(work: Path, *, env: Mapping[str, str]) -> None:
    """Install all packages of the package-lock.json in ``work/app`` beside it; errors are those of ``fetch``."""
    given = {**env, "HOME": str(files.private_folder(work / "home"))}
    _npm(work, work / "lock", given, development=True)


def _uv(lock: str, work: Path, scratch: Path, env: Mapping[str, str]) -> None:
    uv = _program("uv", env, "Run `factory setup`, or install uv.")
    # The machine's certificates, which a company's registry may need.
    given = {**env, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy", "UV_SYSTEM_CERTS": "1"}
    named = [lock, *([_PYPROJECT] if lock == _UV_LOCK else [])]
    for name in named:
        files.write_new(scratch / name, files.read_bytes(files.contained(work / CODE, name)))
    if lock == _UV_LOCK:
        wanted = ["--frozen", "--no-dev", "--no-emit-project", "--format", "requirements-txt"]
        _call([uv, "export", "--quiet", *wanted, "-o", "requirements.lock"], scratch, given)
        lock = "requirements.lock"
    checked = ["--require-hashes", "--no-build", "--no-config", "--python", process.python()]
    _call([uv, "pip", "install", "--quiet", *checked, "--target", str(work / PACKAGES), "-r", lock], scratch, given)
    _without_machine(work / PACKAGES)


def _without_machine(folder: Path) -> None:
    """Remove what differs from machine to machine: the interpreter that scripts name, and caches."""
    for script in sorted((folder / "bin").glob("*")) if (folder / "bin").is_dir() else ():
        content = files.read_bytes(script)
        first, _, rest = content.partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            script.write_bytes(b"#!/usr/bin/env python3\n" + rest)
    for record in folder.glob("*.dist-info/RECORD"):
        record.unlink()  # names the scripts as they were
    for name in (".lock", "__pycache__"):
        files.remove_tree(folder / name)
        (folder / name).unlink(missing_ok=True)


def _npm(work: Path, scratch: Path, env: Mapping[str, str], *, development: bool) -> None:
    npm = _program("npm", env, "Run `factory setup`, which installs node from PyPI.")
    lock = files.read_bytes(files.contained(work / CODE, LOCK))
    _require_integrity(lock)
    files.write_new(scratch / LOCK, lock)
    files.write_new(scratch / PACKAGE, files.read_bytes(files.contained(work / CODE, PACKAGE)))
    given = {**env, "npm_config_cache": str(work / "home" / "npm"), "npm_config_update_notifier": "false"}
    omitted = [] if development else ["--omit=dev"]
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    _call([npm, "ci", "--ignore-scripts", *quiet, *omitted], scratch, given)
    target = work / CODE / MODULES
    files.remove_tree(target)
    if (scratch / MODULES).is_dir():
        shutil.move(scratch / MODULES, target)
        (target / ".package-lock.json").unlink(missing_ok=True)


def _require_integrity(lock: bytes) -> None:
    """Raise ``InvalidInput`` for a package that is not from a registry with a digest, such as one from git."""
    try:
        packages = json.loads(lock)["packages"]
        found = {name: item for name, item in packages.items() if name and not item.get("link")}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidInput(
            "package-lock.json has no list of packages", hint="Write it again with npm 7 or newer."
        ) from error
    for name, item in found.items():
        resolved = item.get("resolved", "https://registry/x.tgz")
        if not item.get("integrity") or not _REGISTRY.fullmatch(str(resolved)):
            raise InvalidInput(
                f"package-lock.json: {name} has no digest of a registry",
                hint="Packages from git or a path can't be used.",
            )


def _program(name: str, env: Mapping[str, str], hint: str) -> str:
    found = process.find(name, env.get("PATH", ""))
    if found is None:
        raise MachineError(f"{name} is not installed", hint=hint)
    return found


def _call(argv: list[str], folder: Path, env: Mapping[str, str]) -> None:
    done = process.run(argv, env=env, cwd=folder, timeout=_LIMIT, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.errors or done.text).splitlines() if line.strip()]
        raise InvalidInput(
            f"its packages cannot be fetched: {'; '.join(lines[:_SAID])}",
            hint="Each package needs a digest in the lock, and for Python a wheel for this machine.",
        )
