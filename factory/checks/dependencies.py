"""Reads what the apps depend on: packages in manifests and lock files, and modules that sources import."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from factory.checks import app_files
from factory.model.app_paths import FOLDERS, AppPaths
from factory.model.facts import Dependency
from factory.system import canonical, process

IMPORTED, SHADOWS = "(imported)", "(stands in for Python's own)"
_PYTHON = sys.stdlib_module_names - {"__main__"}
# Manifests and lock files that are not parsed: a change of one is reported as an unknown dependency.
_UNREAD = {
    "Pipfile",
    "Pipfile.lock",
    "poetry.lock",
    "setup.py",
    "setup.cfg",
    "environment.yml",
    "yarn.lock",
    "pnpm-lock.yaml",
}
_EXACT = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
_MANIFESTS = {"package.json": "npm", "pyproject.toml": "pypi", ".in": "pypi"}
_LOCKS = {"package-lock.json": "npm", "uv.lock": "pypi", ".txt": "pypi", ".lock": "pypi"}
_REQUIREMENTS = re.compile(r"(?:^|/)requirements[^/]*(?:/[^/]+)?\.(?:txt|lock|in)$")


def collect(folder: Path, apps: AppPaths = FOLDERS, *, env: Mapping[str, str]) -> tuple[Dependency, ...]:
    """Return the dependencies of the apps in a checkout; raises ``ToolFailed``."""
    found = app_files.present(folder, apps, env=env)
    return read({name: path.read_bytes() for name, path in found.items() if _wanted(name, apps)}, apps)


def collect_at(
    folder: Path, commit: str, *, env: Mapping[str, str], apps: AppPaths = FOLDERS
) -> tuple[Dependency, ...]:
    """Return the dependencies of the apps at a commit; raises ``ToolFailed``."""
    within = ["--", apps.folder] if apps.folder else []
    listed = process.run(["git", "ls-tree", "-r", "-z", "--name-only", commit, *within], cwd=folder, env=env).text
    found = {}
    for path in filter(None, listed.split("\0")):
        if _wanted(path, apps):
            found[path] = process.run(["git", "cat-file", "blob", f"{commit}:{path}"], cwd=folder, env=env).stdout
    return read(found, apps)


def read_apps(tree: Mapping[str, bytes]) -> dict[str, tuple[Dependency, ...]]:
    """Return the packages that each app's manifests and lock files name; ``tree`` has the files below ``apps/``."""
    found = read({path: content for path, content in tree.items() if _wanted(path, FOLDERS)})
    apps = sorted({app for path in tree if (app := FOLDERS.app_of(path))})
    named = [item for item in found if item.version not in {IMPORTED, SHADOWS}]
    return {app: tuple(item for item in named if item.path.startswith(f"apps/{app}/")) for app in apps}


def read(sources: Mapping[str, bytes], apps: AppPaths = FOLDERS) -> tuple[Dependency, ...]:
    """Return the dependencies in files, in order; an unreadable file gives one unpinned dependency."""
    local: dict[str, set[str]] = {}
    for path in sources:
        if _is_python(path, apps):
            parts = path.removeprefix(apps.below(apps.app_of(path))).split("/")
            local.setdefault(apps.app_of(path), set()).update(part.removesuffix(".py") for part in parts)
    found = [
        Dependency(name, SHADOWS, path, 1, pinned=True)
        for path in sorted(sources)
        if (name := _top_module(path, apps)) in _PYTHON
    ]
    for path, data in sorted(sources.items()):
        text = data.decode(errors="replace")
        try:
            python = _is_python(path, apps)
            found += _imports(path, text, local[apps.app_of(path)]) if python else _reader(path)(path, text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
            found.append(Dependency("(unreadable)", "", path, 1, pinned=False))
    return tuple(dict.fromkeys(_pinned_by_locks(found)))


def _pinned_by_locks(found: Sequence[Dependency]) -> Iterator[Dependency]:
    """Yield the dependencies; a range in a manifest is pinned if its lock in the same folder pins the package."""
    pinned = [item for item in found if item.pinned and item.version not in {IMPORTED, SHADOWS}]
    locked = {(*of, item.name) for item in pinned if (of := _manifest_of(item.path, _LOCKS))}
    for item in found:
        of = _manifest_of(item.path, _MANIFESTS)
        yield replace(item, pinned=True) if of and (*of, item.name) in locked else item


def _manifest_of(path: str, kinds: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the folder and the ecosystem of a manifest or a lock, by what its name ends with."""
    folder, _, name = path.rpartition("/")
    return next(((folder, system) for end, system in kinds.items() if name.endswith(end)), None)


def _is_python(path: str, apps: AppPaths) -> bool:
    """Return whether the imports of an app's file are read; its setup.py is a manifest."""
    app = apps.app_of(path)
    return bool(app) and path.endswith(".py") and path != f"{apps.below(app)}setup.py"


def _top_module(path: str, apps: AppPaths) -> str:
    """Return the name by which Python imports a file of an app's code, or the package that it is in."""
    code = apps.code_of(path)
    within = path.removeprefix(f"{code}/") if code.rsplit("/", 1)[-1] == "src" else path
    return within.split("/")[0].removesuffix(".py") if code else ""


def _wanted(path: str, apps: AppPaths) -> bool:
    if not apps.owns(path):
        return False
    name = path.rsplit("/", 1)[-1]
    known = name in _READERS or name in _UNREAD
    return known or name.endswith(".py") or _REQUIREMENTS.search(path) is not None


def _reader(path: str) -> Callable[[str, str], Iterator[Dependency]]:
    name = path.rsplit("/", 1)[-1]
    return _READERS.get(name, _unread if name in _UNREAD else _requirements)


def _unread(path: str, text: str) -> Iterator[Dependency]:
    yield Dependency(path.rsplit("/", 1)[-1], canonical.digest(text.encode()), path, 1, pinned=False)


def _requirements(path: str, text: str) -> Iterator[Dependency]:
    """Read a requirements file (PEP 508 lines); an option, such as another package index, is a dependency too."""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.split(" #")[0].split(" --hash")[0].rstrip("\\ ").strip()
        if not plain or plain.startswith(("#", "--hash")):
            continue
        yield _dependency(plain, path, number)


def _pyproject(path: str, text: str) -> Iterator[Dependency]:
    project = tomllib.loads(text).get("project", {})
    extras = [item for group in project.get("optional-dependencies", {}).values() for item in group]
    for item in [*project.get("dependencies", []), *extras]:
        yield _dependency(str(item), path, 1)


def _package_json(path: str, text: str) -> Iterator[Dependency]:
    value = json.loads(text)
    for group in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies"):
        for name, version in value.get(group, {}).items():
            yield Dependency(name, str(version), path, 1, pinned=bool(_EXACT.fullmatch(str(version))))


def _package_lock(path: str, text: str) -> Iterator[Dependency]:
    """Read npm's lock (https://docs.npmjs.com/cli/configuring-npm/package-lock-json); older forms are not read."""
    value = json.loads(text)
    if value.get("lockfileVersion") not in {2, 3}:
        yield from _unread(path, text)
        return
    lines = {line.strip(): number for number, line in enumerate(text.splitlines(), 1)}
    for place, package in value["packages"].items():
        if place:  # the empty one is the app itself
            name = package.get("name") or place.rpartition("node_modules/")[2]
            version = str(package.get("version", ""))
            pinned = bool(_EXACT.fullmatch(version)) and str(package.get("integrity", "")).startswith("sha")
            yield Dependency(name, version, path, lines.get(f"{json.dumps(place)}: {{", 1), pinned=pinned)


def _uv_lock(path: str, text: str) -> Iterator[Dependency]:
    """Read uv's lock (https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile)."""
    for package in tomllib.loads(text).get("package", []):
        source = package["source"]
        if source.keys() & {"virtual", "editable"} and next(iter(source.values())) == ".":
            continue  # the app itself
        yield Dependency(
            canonicalize_name(package["name"]),
            str(package.get("version", "")),
            path,
            1,
            pinned="registry" in source and "version" in package,
        )


_READERS: Mapping[str, Callable[[str, str], Iterator[Dependency]]] = {
    "pyproject.toml": _pyproject,
    "package.json": _package_json,
    "package-lock.json": _package_lock,
    "uv.lock": _uv_lock,
}


def _dependency(text: str, path: str, line: int) -> Dependency:
    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        return Dependency(text[:100], "", path, line, pinned=False)
    versions = list(wanted.specifier)
    pinned = (
        wanted.url is None and len(versions) == 1 and versions[0].operator == "==" and "*" not in versions[0].version
    )
    return Dependency(canonicalize_name(wanted.name), str(wanted.url or wanted.specifier), path, line, pinned=pinned)


def _imports(path: str, text: str, local: set[str]) -> Iterator[Dependency]:
    """Yield the imported modules that belong neither to the standard library nor to the app."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # the linter reports invalid Python
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [
                item.value for item in node.args[:1] if isinstance(item, ast.Constant) and isinstance(item.value, str)
            ]
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top not in local:
                yield Dependency(canonicalize_name(top), IMPORTED, path, node.lineno, pinned=True)  # type: ignore[attr-defined]
