"""Completes an ``app.yml`` with what follows from the app's kind and from its files. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from factory.apps import commands, node_files, own_tests, postgresql
from factory.apps.detection.kind import PYTHON_LOCKS, SITES, of_files
from factory.errors import InvalidInput
from factory.policies.apps import FILE, App

Read = Callable[[str], bytes]
_SAID = FILE
_PROCFILE, _PACKAGE, _NODE_LOCK = "Procfile", node_files.PACKAGE, node_files.LOCK
_WEB = re.compile(r"^web:\s*(.+?)\s*$", re.MULTILINE)
# Variables that the host gives every release.
_OF_THE_HOST = ("HOME", "HOST", "LANG", "PATH", "PORT", "RELEASE", "SOCKET", "STATE_DIRECTORY", "VIRTUAL_ENV")
_DEFAULTED = (
    *("health", "variables", "state", "migrate", "secrets", "database"),
    *("limits.memory_mb", "limits.processes", "limits.disk_mb"),
)
# Serves the files of a static site; the host has this program.
STATIC = "static-site"


@dataclass(frozen=True)
class ResolvedApp:
    """An app with nothing left open. Paths are below its folder.

    ``tests`` says how its own tests run, and is empty if policy names them; ``checks`` says it of its other checks.
    ``lock`` is empty if the app has no packages, ``build`` if nothing is built. ``files`` are what a release has.
    ``listen`` is ``socket`` or ``port``. ``origins`` says of each field where its value comes from: the app's file,
    another file, or its kind.
    """

    name: str
    kind: str
    lock: str
    build: tuple[str, ...]
    files: tuple[str, ...]
    run: tuple[str, ...]
    listen: str
    variables: Mapping[str, str]
    health: str
    memory_mb: int
    processes: int
    disk_mb: int
    state: bool
    migrate: tuple[str, ...]
    secrets: tuple[str, ...]
    database: str
    tests: str
    checks: Mapping[str, str]
    origins: Mapping[str, str]


def resolve(name: str, app: App, paths: Collection[str], read: Read) -> ResolvedApp:
    """Return the app with its defaults; ``paths`` are its files below its folder, ``read`` returns one's content.

    Raises ``InvalidInput`` naming the field that its files don't answer.
    """
    _require_consistent(name, app)
    origins: dict[str, str] = {}

    def chosen(field: str, said: object, default: Callable[[], tuple[object, str]]) -> object:
        value, origins[field] = (said, _SAID) if said else default()
        return value

    kind = str(chosen("kind", app.kind, lambda: _kind(paths, read)))
    lock = str(chosen("lock", app.lock, lambda: _lock(kind, paths, read)) or "")
    build = _words(chosen("build.command", app.build.command, lambda: _build(kind, paths, read)))
    files = _words(chosen("build.files", app.build.files, lambda: _files(kind, paths, built=bool(build))))
    run = _words(chosen("run", app.run, lambda: _run(kind, files, paths, read)))
    listen = str(chosen("listen", app.listen, lambda: _listen(kind, (*run, *app.variables.values()))))
    own = own_tests.found(name, app, read(_PACKAGE) if _PACKAGE in paths else None)
    origins["tests"] = _SAID if app.checks.unit else f"the script `test` of {_PACKAGE}" if own else "policies/gates.yml"
    checks = own_tests.checks(name, app, read(_PACKAGE) if _PACKAGE in paths else None)
    for check in checks:
        said = getattr(app.checks, check.gate) is not None
        origins[f"checks.{check.gate}"] = _SAID if said else f"the script `{check.command[-1]}` of {_PACKAGE}"
    limits = app.limits
    origins |= _of_defaults(app)
    if lock and lock not in paths:
        raise InvalidInput(f"{FILE} of {name}: lock names {lock}, which does not exist", hint="Commit the lock file.")
    return ResolvedApp(
        name=name,
        kind=kind,
        lock=lock,
        build=build,
        files=files,
        run=run,
        listen=listen,
        variables=dict(app.variables),
        health=app.health,
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        disk_mb=limits.disk_mb,
        state=app.state,
        migrate=app.migrate,
        secrets=_secrets(app),
        database=app.database or "",
        tests=own.told if own else "",
        checks={check.gate: check.told for check in checks},
        origins=origins,
    )


def _require_consistent(name: str, app: App) -> None:
    if taken := sorted({*_secrets(app)} & {*app.variables, *_OF_THE_HOST}):
        why = "has a value in `variables`" if taken[0] in app.variables else "is the host's"
        raise InvalidInput(f"{FILE} of {name}: secrets names {taken[0]}, which {why}", hint="Choose another name.")
    if app.migrate and not app.state and not app.database:
        hint = f"Write `state: true` or `database: postgresql` in {FILE}."
        raise InvalidInput(f"{FILE} of {name}: migrate needs a state or a database", hint=hint)


def _of_defaults(app: App) -> dict[str, str]:
    """Return where the fields come from that have one default for every app."""
    given = {*app.model_fields_set, *(f"limits.{field}" for field in app.limits.model_fields_set)}
    return {field: _SAID if field in given else "default" for field in _DEFAULTED}


def _secrets(app: App) -> tuple[str, ...]:
    named = [postgresql.VARIABLE] if app.database and postgresql.VARIABLE not in app.secrets else []
    return (*app.secrets, *named)


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()


def _kind(paths: Collection[str], read: Read) -> tuple[str, str]:
    scripts = node_files.scripts(read(_PACKAGE)) if _PACKAGE in paths else {}
    if (found := of_files(paths, scripts)) is None:
        raise _open("kind", "python, node, static or command")
    return found


def _lock(kind: str, paths: Collection[str], read: Read) -> tuple[str, str]:
    if kind == "python":
        for name in PYTHON_LOCKS:
            if name in paths and (name == PYTHON_LOCKS[0] or b"--hash=" in read(name)):
                return name, f"{name} exists"
        if any(path in paths and _declares(path, read) for path in ("requirements.txt", "pyproject.toml")):
            raise InvalidInput(
                "the app names packages, but no lock file with their hashes",
                hint="Make one: uv lock, or uv pip compile --generate-hashes requirements.txt -o requirements.lock",
            )
    if _PACKAGE in paths and kind != "command":
        if _NODE_LOCK in paths:
            return _NODE_LOCK, f"{_NODE_LOCK} exists"
        named = node_files.fields(read(_PACKAGE))
        if named.get("dependencies") or named.get("devDependencies"):
            raise InvalidInput(f"the app has no {_NODE_LOCK}", hint="Make one: npm install --package-lock-only")
    return "", "it names no packages"


def _declares(path: str, read: Read) -> bool:
    text = read(path).decode(errors="replace")
    if path == "pyproject.toml":
        return re.search(r"^dependencies\s*=\s*\[\s*[\"']", text, re.MULTILINE) is not None
    return any(line.strip() and not line.lstrip().startswith(("#", "-")) for line in text.splitlines())


def _build(kind: str, paths: Collection[str], read: Read) -> tuple[tuple[str, ...], str]:
    if kind in {"node", "static"} and _PACKAGE in paths and "build" in node_files.scripts(read(_PACKAGE)):
        return ("npm", "run", "build"), f"the script `build` of {_PACKAGE}"
    return (), "nothing is built"


def _files(kind: str, paths: Collection[str], *, built: bool) -> tuple[tuple[str, ...], str]:
    if kind == "command":
        raise _open("build.files", "the files that the build makes and the program needs")
    if kind != "static":
        return (".",), f"kind {kind}: all but tests"
    found = [folder for folder in SITES if f"{folder}/index.html" in paths]
    if found or built:
        return tuple(found[:1] or SITES[:1]), f"{found[0]}/index.html exists" if found else "what builds leave in dist"
    return (".",), "index.html exists"


def _run(kind: str, files: tuple[str, ...], paths: Collection[str], read: Read) -> tuple[tuple[str, ...], str]:
    if kind == "static":
        return (STATIC, files[0]), "kind static"
    if _PROCFILE in paths and (web := _WEB.search(read(_PROCFILE).decode(errors="replace"))):
        return commands.split(web[1], _PROCFILE), f"`web` of {_PROCFILE}"
    if kind == "python":
        for folder in ("src", "."):
            if PurePosixPath(folder, "__main__.py").as_posix() in paths:
                return ("python", folder), f"{folder}/__main__.py exists"
    if kind == "node" and (started := _started(paths, read)):
        return started, f"the script `start` of {_PACKAGE}"
    raise _open("run", "the command that serves the app, with $SOCKET or $PORT where the program listens")


def _started(paths: Collection[str], read: Read) -> tuple[str, ...]:
    """Return what the script `start` runs: node, or a program of the app's packages; empty if it is neither."""
    start = node_files.scripts(read(_PACKAGE)).get("start", "")
    program = node_files.program(start.partition(" ")[0], read(_NODE_LOCK) if _NODE_LOCK in paths else b"")
    return (program, *commands.split(start, _PACKAGE)[1:]) if program else ()


def _listen(kind: str, words: Collection[str]) -> tuple[str, str]:
    if kind == "static":
        return "socket", "kind static"
    if any("$SOCKET" in word for word in words):
        return "socket", "$SOCKET is named"
    return "port", "$SOCKET is not named"


def _open(field: str, what: str) -> InvalidInput:
    return InvalidInput(f"the app's files don't say what `{field}` is", hint=f"Write `{field}` in {FILE}: {what}.")
