"""Installs what an app's tests need, by its own lock file, into a folder that later runs use again.

Only wheels are installed, so that installing runs no code; the app itself is not installed. The folder is named after
the content of the files, so a change of them gets another one.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from factory.errors import InvalidInput, MachineError, ToolFailed
from factory.operations.repository import app_detection
from factory.operations.repository.app_detection import included
from factory.policies.model import Apps
from factory.system import canonical, files, process

UV_LOCK, PYPROJECT = "uv.lock", "pyproject.toml"
_LIMIT = 900.0
_READY = "ready"
# How many lines of uv's explanation an error has.
_SAID = 3
# What runs the tests, installed beside the app's own packages if they lack it.
_RUNNERS = ("coverage", "pytest")
# A requirement that names the app itself or a folder of it.
_ITSELF = re.compile(r"^\s*(?:-e\s+|--editable[ =])?\.(?:/|\[|\s|$)")


def needed(apps: Apps, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files that name what the app needs; raises ``InvalidInput`` if one is missing."""
    if missing := [path for path in apps.install if path not in contents]:
        raise InvalidInput(
            f"policies/apps.yml: install names {missing[0]}, which does not exist",
            hint="Name the files from which the app's packages are installed.",
        )
    found = {path: contents[path] for path in apps.install}
    if UV_LOCK in found and PYPROJECT in contents:  # uv reads both
        found[PYPROJECT] = contents[PYPROJECT]
    return found


def of_app(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files among those of an app's folder that name what the app needs, the most exact; often none."""
    found = app_detection.install(contents, contents.__getitem__)
    return needed(Apps(install=tuple(found)), contents) if found else {}


def place(root: Path, found: Mapping[str, bytes], python: str) -> Path:
    """Return the folder of the environment for these files."""
    named = [[path, canonical.digest(data)] for path, data in sorted(found.items())]
    return root / canonical.digest_of([python, *named]).partition(":")[2][:24]


def ensure(root: Path, found: Mapping[str, bytes], *, env: Mapping[str, str]) -> Path:
    """Return the Python of the environment for the files; it is installed unless it exists.

    Raises ``InvalidInput`` if the packages cannot be installed from wheels, ``MachineError`` without uv.
    """
    folder = place(root, found, process.python())
    program = folder / "bin" / "python"
    if (folder / _READY).exists():  # without a lock: a judging job cannot write here
        return program
    with files.locked(root / f"{folder.name}.lock"):
        if (folder / _READY).exists():
            return program
        files.remove_tree(folder)
        try:
            _install(folder, found, env)
        except ToolFailed as error:
            files.remove_tree(folder)
            raise InvalidInput(
                f"what {', '.join(found)} name cannot be installed: {error}",
                hint="Each package needs a wheel for this machine and this Python.",
            ) from error
        files.write_atomic(folder / _READY, b"")
    return program


def _install(folder: Path, found: Mapping[str, bytes], env: Mapping[str, str]) -> None:
    source = folder / "source"
    for path, data in found.items():
        kept = data if path in {UV_LOCK, PYPROJECT} else _without_app(data)
        files.write_new(source / path, kept)
    uv = process.find("uv", env.get("PATH", ""))
    if uv is None:
        raise MachineError("uv is not installed", hint="Run `factory setup`, or install uv.")
    given = {**env, "UV_PROJECT_ENVIRONMENT": str(folder), "HOME": str(folder)}
    given |= {"UV_CACHE_DIR": str(folder.parent / "cache"), "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    given["UV_SYSTEM_CERTS"] = "1"  # those of the machine, which a company's registry may need

    def call(*arguments: str) -> None:
        done = process.run([uv, *arguments], env=given, cwd=source, timeout=_LIMIT, check=False)
        if done.returncode:
            lines = [line.strip() for line in done.errors.splitlines() if line.strip()]
            raise ToolFailed("; ".join(lines[:_SAID]) or f"uv ended with {done.returncode}")

    call("venv", "--quiet", "--allow-existing", "--python", process.python(), str(folder))
    program = str(folder / "bin" / "python")
    if UV_LOCK in found:
        call("sync", "--quiet", "--frozen", "--no-build", "--no-install-project", "--all-groups", "--all-extras")
    else:
        within = {name for path, data in found.items() if path != PYPROJECT for name in included(path, data)}
        if outside := sorted(within - set(found)):
            raise ToolFailed(f"they include {outside[0]}, which `install` in policies/apps.yml does not name")
        named = [word for path in found if path != PYPROJECT and path not in within for word in ("-r", path)]
        if PYPROJECT in found:
            groups = tomllib.loads(found[PYPROJECT].decode()).get("dependency-groups", {})
            named += ["-r", PYPROJECT, "--all-extras", *(word for name in groups for word in ("--group", name))]
        call("pip", "install", "--quiet", "--no-build", "--python", program, *named)
    packages = {path.name.partition("-")[0].lower() for path in folder.glob("lib/python*/site-packages/*.dist-info")}
    if lacking := [name for name in _RUNNERS if name not in packages]:
        call("pip", "install", "--quiet", "--no-build", "--python", program, *lacking)


def _without_app(data: bytes) -> bytes:
    """Return a requirements file without the lines that name the app itself."""
    lines = data.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if not _ITSELF.match(line)).encode() + b"\n"
