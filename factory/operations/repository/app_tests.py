"""Runs the apps' own tests as the pipeline's job `unit` does, and leaves what the gates read as the change's claim."""

import sys
from collections.abc import Mapping
from pathlib import Path

from factory.errors import InvalidInput
from factory.operations.repository import app_environment
from factory.policies.model import Policies
from factory.system import files, process

_LIMIT = 3600.0
_OUTPUT = 64 * 2**20
UNIT = "unit"


def python(root: Path, policies: Policies, folder: Path, *, env: Mapping[str, str]) -> Path | None:
    """Return the Python that runs the app's tests, with what the app in a checkout needs; ``None``: this program's.

    ``root`` is the folder of environments. Raises ``Refused`` for a link that leads out of the checkout, and as
    ``app_environment.ensure`` does.
    """
    # Inside the checkout: a change may have made a link of the file.
    found = {path: files.contained(folder, path) for path in named(policies)}
    contents = {path: files.read_bytes(file) for path, file in found.items() if file.is_file()}
    return python_for(root, policies, contents, env=env)


def named(policies: Policies) -> set[str]:
    """Return the files that say what the app needs; empty if its tests need nothing but the factory's packages."""
    return {*policies.apps.install, app_environment.PYPROJECT} if policies.apps.install else set()


def python_for(root: Path, policies: Policies, contents: Mapping[str, bytes], *, env: Mapping[str, str]) -> Path | None:
    """Return the Python of the apps' tests as ``python`` does, from the files of a commit."""
    if not policies.apps.install:
        return None
    found = app_environment.needed(policies.apps, contents)
    return app_environment.existing(root, found) or app_environment.ensure(root, found, env=env)


def import_path(policies: Policies, folder: Path) -> dict[str, str]:
    """Return the variable with which Python finds an app's code below ``src``, if it is there."""
    below = [str(folder / path) for path in policies.apps.sources if Path(path).name == "src"]
    return {"PYTHONPATH": ":".join(below)} if below else {}


def run(policies: Policies, folder: Path, out: Path, *, runner: Path | None, env: Mapping[str, str]) -> int:
    """Run the check `unit` in a checkout; return its exit code.

    ``out`` receives log.txt, exit, junit.xml and coverage.json. ``env`` is the whole environment. Raises
    ``InvalidInput`` without such a check, ``ToolTimeout`` after an hour, ``OutputTooLarge`` and ``MachineError``.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Not the path on which this program was found: an app may have a package of the same name.
    given = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    given |= {**import_path(policies, folder), "COVERAGE_FILE": str(out / "coverage.sqlite")}
    program = str(runner or sys.executable)
    if UNIT not in policies.gates.checks:
        raise InvalidInput(f"policies/gates.yml names no check `{UNIT}`", hint="See `factory policy show gates`.")
    command = [program if word == "python" else word for word in policies.gates.checks[UNIT]]
    argv = [*command, f"--junitxml={out / 'junit.xml'}"]
    done = process.run(argv, cwd=folder, env=given, timeout=_LIMIT, most=_OUTPUT, check=False)
    files.write_atomic(out / "log.txt", done.stdout + done.stderr)
    files.write_atomic(out / "exit", f"{done.returncode}\n".encode())
    covered = [program, "-m", "coverage", "json", "-q", "-o", str(out / "coverage.json")]
    process.run(covered, cwd=folder, env=given, check=False)
    return done.returncode
