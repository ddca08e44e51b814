"""Finds out how a Python repository is built and tested, from the names and contents of its files. Pure."""

import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from factory.errors import InvalidInput
from factory.model.app_paths import TESTS, named_as_test
from factory.system import strict_yaml

_FRAMEWORKS = ("flask", "django", "fastapi", "starlette", "aiohttp", "bottle", "falcon")
# Folders at the root that hold no code of the app.
_NO_CODE = {
    "docs",
    "doc",
    "examples",
    "scripts",
    "tools",
    "migrations",
    "alembic",
    "apps",
    "specs",
    "policies",
    "terraform",
}
_NOT_APP = {"setup.py", "conftest.py", "noxfile.py", "fabfile.py", "tasks.py"}
_INCLUDED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]\s*(\S+)", re.MULTILINE)
_REQUIREMENTS = re.compile(r"requirements[^/]*\.txt|requirements/[^/]+\.txt")
APPS = "policies/apps.yml"
PIPELINE = ".gitlab-ci.yml"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class DetectedApp:
    """A Python app: its name, framework, code, the files that name what it needs, and its own tools.

    ``tests`` counts the files with tests; ``tools`` names the linters that it configures; ``pipeline`` tells whether
    the repository has a GitLab pipeline of its own.
    """

    name: str
    framework: str
    sources: tuple[str, ...]
    install: tuple[str, ...]
    tests: int
    tools: tuple[str, ...]
    pipeline: bool = False

    def summary(self) -> str:
        """Return what was found in one line."""
        named = ", ".join([*([self.framework] if self.framework else []), *self.install])
        known = f" ({named})" if named else ""
        files = f"{self.tests} test file{'' if self.tests == 1 else 's'}"
        code = ", ".join(self.sources)
        return f"{self.name}: Python{known}, code in {code}, {files}"


def detect(paths: Collection[str], read: Callable[[str], bytes], *, folder: str) -> DetectedApp:
    """Return the app of a repository; ``read`` returns a file's content, ``folder`` is the repository's name.

    Raises ``InvalidInput`` if the repository has no Python code.
    """
    python = sorted(path for path in paths if path.endswith(".py"))
    if not python:
        raise InvalidInput(
            "this repository has no Python code, and only Python apps are known",
            hint="For a repository without an app, run `factory init DIR`.",
        )
    project = _project(read) if "pyproject.toml" in paths else {}
    install = tuple(_install(paths, read, project))
    declared = "\n".join(read(path).decode(errors="replace").lower() for path in install)
    named = str(project.get("project", {}).get("name", "")) or folder
    return DetectedApp(
        name=_called(named) or _called(folder) or "app",
        framework=next((name for name in _FRAMEWORKS if re.search(rf"\b{name}\b", declared)), ""),
        sources=tuple(_sources(python)),
        install=install,
        tests=sum(map(named_as_test, python)),
        tools=tuple(_tools(paths, project)),
        pipeline=PIPELINE in paths,
    )


def configured(paths: Collection[str], read: Callable[[str], bytes], *, folder: str) -> DetectedApp | None:
    """Return the app that policies/apps.yml says the repository is, with what ``detect`` finds; or ``None``."""
    said = strict_yaml.load_mapping(read(APPS).decode(), source=APPS) if APPS in paths else {}
    if "root" not in said:
        return None
    found = detect(paths, read, folder=folder)
    return replace(
        found,
        name=str(said["root"]),
        sources=tuple(map(str, said.get("sources", found.sources))),
        install=tuple(map(str, said.get("install", found.install))),
    )


def _project(read: Callable[[str], bytes]) -> Mapping[str, dict[str, object]]:
    with suppress(ValueError):
        return tomllib.loads(read("pyproject.toml").decode())
    return {}


def _called(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain if _NAME.fullmatch(plain) else ""


def _sources(python: Collection[str]) -> Iterator[str]:
    """Yield the folders and files with code: `src`, or the packages and modules at the root."""
    if any(path.startswith("src/") for path in python):
        yield "src"
        return
    tops = {PurePosixPath(path).parts[0] for path in python if not named_as_test(path)}
    found = sorted(tops - _NO_CODE - TESTS - _NOT_APP)
    yield from found or ["."]


def install(paths: Collection[str], read: Callable[[str], bytes]) -> tuple[str, ...]:
    """Return the files from which an app's packages are installed, the most exact; empty if it names none."""
    return tuple(_install(paths, read, _project(read) if "pyproject.toml" in paths else {}))


def _install(
    paths: Collection[str], read: Callable[[str], bytes], project: Mapping[str, dict[str, object]]
) -> Iterator[str]:
    """Yield the files from which the app's packages are installed, the most exact first."""
    if "uv.lock" in paths and "pyproject.toml" in paths:
        yield "uv.lock"
        return
    listed = sorted(path for path in paths if _REQUIREMENTS.fullmatch(path))
    if listed:
        yield from dict.fromkeys(
            [*listed, *(name for path in listed for name in included(path, read(path)) & set(paths))]
        )
    elif "dependencies" in project.get("project", {}):
        yield "pyproject.toml"


def included(path: str, content: bytes) -> set[str]:
    """Return the files that a requirements file includes or takes constraints from, by their repository paths."""
    named = _INCLUDED.findall(content.decode(errors="replace"))
    return {posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in named}


def _tools(paths: Collection[str], project: Mapping[str, dict[str, object]]) -> Iterator[str]:
    tool = project.get("tool", {})
    if "ruff" in tool or {"ruff.toml", ".ruff.toml"} & set(paths):
        yield "ruff"
