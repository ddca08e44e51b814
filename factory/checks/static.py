"""Runs linters and type checkers on a change and reads their JSON output; none of them runs the code."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from factory.errors import MachineError, ToolTimeout
from factory.model.app_paths import FOLDERS, AppPaths
from factory.model.facts import Change
from factory.model.tool_run import Problem, ToolRun
from factory.system import process

_LIMIT = 300.0


def lint(
    command: Sequence[str], folder: Path, change: Change, *, env: Mapping[str, str], apps: AppPaths = FOLDERS
) -> ToolRun:
    """Return ruff's findings in the Python files of apps that a change adds or modifies."""
    paths = sources(change, apps)
    return _run([*command, "--output-format=json", "--", *paths], folder, env, _ruff) if paths else ToolRun()


def types(
    command: Sequence[str], folder: Path, change: Change, *, env: Mapping[str, str], apps: AppPaths = FOLDERS
) -> ToolRun:
    """Return mypy's findings in the sources of each app that a change modifies."""
    found: list[Problem] = []
    for root in sorted({code for path in sources(change, apps) if (code := apps.code_of(path))}):
        place = folder / root
        within = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        paths = [name for path in within if apps.is_code(name := path.relative_to(folder).as_posix())]
        run = _run([*command, "--output=json", "--", *paths], folder, env, _mypy)
        if run.problem:
            return run
        found += run.problems
    return ToolRun(tuple(found))


def sources(change: Change, apps: AppPaths = FOLDERS) -> list[str]:
    """Return the changed Python files of apps that still exist after the change."""
    return [
        file.path
        for file in change.files
        if file.status not in "DS" and apps.owns(file.path) and file.path.endswith((".py", ".pyi"))
    ]


def _run(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], read: Callable[[str, Path], list[Problem]]
) -> ToolRun:
    """Run a tool with this program's Python; an exit code above 1 means that the tool failed."""
    try:
        done = process.run(
            process.ours(argv),
            cwd=folder,
            env=env,
            timeout=_LIMIT,
            check=False,
        )
        if done.returncode > 1:
            last = (done.errors.strip() or done.text.strip() or "no message").splitlines()[-1]
            return ToolRun(problem=f"{_name(argv)} exited with {done.returncode}: {last[:300]}")
        return ToolRun(tuple(read(done.text, folder)))
    except (MachineError, ToolTimeout) as error:
        return ToolRun(problem=str(error))
    except (ValueError, KeyError, TypeError) as error:
        return ToolRun(problem=f"the output of {_name(argv)} cannot be read: {error}")


def _name(argv: Sequence[str]) -> str:
    return next((word for word in argv if word in {"ruff", "mypy"}), argv[0])


def _ruff(text: str, folder: Path) -> list[Problem]:
    """Read ruff's JSON: a list of findings with absolute paths."""
    return [
        Problem(
            str(item["code"] or "invalid-syntax"),
            str(Path(item["filename"]).relative_to(folder.resolve())),
            int(item["location"]["row"]),
            str(item["message"]),
        )
        for item in json.loads(text)
    ]


def _mypy(text: str, folder: Path) -> list[Problem]:
    """Read mypy's JSON, one object per line, without notes."""
    del folder
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [
        Problem(str(item["code"] or "error"), str(item["file"]), max(1, int(item["line"])), str(item["message"]))
        for item in found
        if item["severity"] == "error"
    ]
