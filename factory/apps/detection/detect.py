"""Reads every file that says how an app is built and run, and decides between those that disagree. Pure."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from factory.apps import commands, node_files
from factory.apps.detection import compose, dockerfile, gitlab_ci, manifests, procfile, version_files, wrangler
from factory.apps.detection.reading import LONGEST_LINE, Clue, Field, Reading, short
from factory.errors import FactoryError, InvalidInput

# Every file that is read, the most specific first: of two that say something else, the earlier one counts.
SOURCES: Mapping[str, Callable[[str, str], Reading]] = {
    ".python-version": version_files.python,
    ".node-version": version_files.node,
    ".nvmrc": version_files.node,
    "mise.toml": version_files.mise,
    ".mise.toml": version_files.mise,
    "Procfile": procfile.read,
    "Dockerfile": dockerfile.read,
    "compose.yaml": compose.read,
    "compose.yml": compose.read,
    "docker-compose.yaml": compose.read,
    "docker-compose.yml": compose.read,
    "wrangler.json": wrangler.jsonc,
    "wrangler.jsonc": wrangler.jsonc,
    "wrangler.toml": wrangler.toml,
    ".gitlab-ci.yml": gitlab_ci.read,
    "pyproject.toml": manifests.pyproject,
    "package.json": manifests.package,
}
LARGEST = 128 * 1024
_LANGUAGES: tuple[Field, ...] = ("python", "node")
_FIELDS: tuple[Field, ...] = ("kind", *_LANGUAGES, "build", "files", "run", "port", "health", "test")
_SCRIPT_RUNNERS = {"npm", "pnpm", "yarn"}
_WRAPPERS = {"uv", "poetry", "pipenv", "pdm"}
_LISTENS = re.compile(r"(?:--port|-p|--bind|-b|--listen|--http)=(?:[^=:]*:)?(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Detected:
    """What an app's files say: one clue a field, what is unsure, and the files that could not be read, with why."""

    clues: tuple[Clue, ...] = ()
    doubts: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def clue(self, field: Field) -> Clue | None:
        """Return what was found for a field."""
        return next((clue for clue in self.clues if clue.field == field), None)

    def lines(self) -> list[str]:
        """Return what was found, what is unsure and what was skipped, in lines."""
        return [
            *(f"found {clue.field}: {short(clue.text)} ({clue.source})" for clue in self.clues),
            *(f"unsure: {doubt}" for doubt in self.doubts),
            *(f"skipped: {reason}" for reason in self.skipped),
        ]


def detect(paths: Collection[str], read: Callable[[str], bytes]) -> Detected:
    """Return what an app's files say; ``paths`` are below its folder, ``read`` returns one's content.

    A file that is malformed, too large or not to be read is skipped, and named.
    """
    clues: list[Clue] = []
    doubts: list[str] = []
    skipped: list[str] = []
    for path in (path for path in SOURCES if path in paths):
        try:
            found = SOURCES[path](path, _text(path, read))
        except FactoryError as error:
            skipped.append(short(str(error) if path in str(error) else f"{path}: {error}", LONGEST_LINE))
            continue
        clues += found.clues
        doubts += found.doubts
    clues, more = _programs(clues, paths, read)
    chosen = [_chosen(field, [clue for clue in clues if clue.field == field]) for field in _FIELDS]
    run = next((clue for clue, _ in chosen if clue is not None and clue.field == "run"), None)
    if run is not None and not any("$PORT" in word or "$SOCKET" in word for word in run.value):
        more.append(f"run: no word of {short(run.text)!r} says where it listens; a release must listen on $PORT")
    return Detected(
        tuple(clue for clue, _ in chosen if clue is not None),
        tuple(dict.fromkeys([*doubts, *more, *(doubt for _, doubt in chosen if doubt)])),
        tuple(skipped),
    )


def _text(path: str, read: Callable[[str], bytes]) -> str:
    data = read(path)
    if len(data) > LARGEST:
        raise InvalidInput(f"{path} has {len(data)} bytes; at most {LARGEST} are read")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8") from error


def _programs(
    clues: Sequence[Clue], paths: Collection[str], read: Callable[[str], bytes]
) -> tuple[list[Clue], list[str]]:
    """Return the clues with commands as a release runs them, and what stands against that.

    A script of package.json is replaced by what it runs: npm would not pass on the signal that ends a release. A
    literal port becomes ``$PORT``. A command of paths that only an image has is left out.
    """
    ports = {clue.source: clue.value[0] for clue in reversed(clues) if clue.field == "port"}
    usual = next(iter(reversed(ports.values())), "")
    found: list[Clue] = []
    doubts: list[str] = []
    for clue in clues:
        if clue.field != "run":
            found.append(clue)
            continue
        words = _script(_unwrapped(clue.value), paths, read)
        if words is None or words[0].startswith("/"):
            what = "runs a script that is not a program" if words is None else "starts a program of the image"
            doubts.append(f"{clue.source}: {short(clue.text)} {what}; it is not taken")
            continue
        own = next((found[1] for found in map(_LISTENS.fullmatch, _options(words)) if found), "")
        if own and not ports:
            found.append(Clue("port", (own,), clue.source))
        port = own or ports.get(clue.source, usual)
        found.append(replace(clue, value=tuple(_with_port(word, port) for word in words)))
    return found, doubts


def _unwrapped(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command without the package manager that only sets up its environment, such as ``uv run``."""
    if words[0] not in _WRAPPERS or words[1:2] != ("run",):
        return words
    rest = words[2:]
    while rest and rest[0].startswith("--"):
        rest = rest[1:]
    return rest or words


def _options(words: Sequence[str]) -> list[str]:
    """Return each word with the one before it, and each word alone, as an option is written."""
    return [f"{name}={value}" for name, value in pairwise(words)] + list(words)


def _script(words: tuple[str, ...], paths: Collection[str], read: Callable[[str], bytes]) -> tuple[str, ...] | None:
    """Return the program that a package manager's command would run, or the command itself; ``None`` if none is."""
    if words[0] not in _SCRIPT_RUNNERS:
        return words
    rest = [word for word in words[1:] if word != "run"]
    if len(rest) != 1 or node_files.PACKAGE not in paths:
        return None
    try:
        script = node_files.scripts(read(node_files.PACKAGE)).get(rest[0], "")
        found = commands.split(script, node_files.PACKAGE)
        lock = read(node_files.LOCK) if node_files.LOCK in paths else b""
        program = node_files.program(found[0], lock) if found else ""
    except FactoryError:
        return None
    return (program, *found[1:]) if program else None


def _with_port(word: str, port: str) -> str:
    """Return a word of a command with ``$PORT`` in place of the port: alone, or after a colon or an equals sign."""
    if port and (word == port or word.endswith((f":{port}", f"={port}"))):
        return f"{word[: -len(port)]}$PORT"
    return word


def _chosen(field: Field, clues: Sequence[Clue]) -> tuple[Clue | None, str]:
    """Return the most specific clue of a field, and which others disagree with it."""
    if not clues:
        return None, ""
    if field in _LANGUAGES:
        best = max(clues, key=lambda clue: _parts(clue.value[0]))
        others = [clue for clue in clues if not _agree(best.value[0], clue.value[0])]
    else:
        best = clues[0]
        others = [clue for clue in clues if clue.value != best.value]
    if not others:
        return best, ""
    said = ", ".join(f"{clue.source} says {short(clue.text)}" for clue in others)
    return best, f"{field}: {short(best.text)} of {best.source} is taken, but {said}"


def _parts(version: str) -> int:
    """Return how exact a version is: by its numbers; a range is the least exact."""
    return 0 if version.startswith(">=") else version.count(".") + 1


def _agree(taken: str, other: str) -> bool:
    """Return whether a version is among those that another text names: `3.12.4` is a `3.12`, and `>=3.11`."""
    version = _numbers(taken)
    numbers = _numbers(other)
    if other.startswith(">="):
        return version[: len(numbers)] >= numbers
    return version[: len(numbers)] == numbers


def _numbers(version: str) -> list[int]:
    return [int(part[:9]) for part in version.removeprefix(">=").split(".")]
