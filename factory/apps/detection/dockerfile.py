"""Reads a Dockerfile: the last stage, and those that it is made of. Pure.

Source of the grammar: docs.docker.com, Dockerfile reference (parser directives, here-documents, ENTRYPOINT and CMD).
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from factory.apps.detection import images
from factory.apps.detection.reading import Notes, Reading, short
from factory.errors import InvalidInput

_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(\S+)\s*")
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_HEREDOC = re.compile(r"(?<!<)<<-?([\"']?)([A-Za-z_]\w*)\1")
_WITH_HEREDOC = {"RUN", "COPY", "ADD"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}$]*))?\}|(\w+))")
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+[aA][sS]\s+(\S+))?\s*")
_FLAG = re.compile(r"^(?:--\S+\s+)+")
_PAIR = re.compile(r"(\w+)=(?:\"([^\"]*)\"|'([^']*)'|(\S*))")
# Programs that only start the one after them.
_INIT = {"tini", "dumb-init", "/tini", "/sbin/tini", "/usr/bin/tini", "/usr/bin/dumb-init", "/usr/local/bin/dumb-init"}
_SHELL_SCRIPT = re.compile(r"(?:.*/)?(?:docker-)?entrypoint(?:\.\w+)?|.*\.sh")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, and the rest, without continuation lines and here-documents."""

    name: str
    rest: str


@dataclass(frozen=True)
class _Stage:
    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


@dataclass
class _Image:
    """What the instructions of the stages make of an image, so far."""

    workdir: str = "/"
    entrypoint: str = ""
    command: str = ""
    check: str = ""
    ports: list[str] = field(default_factory=list)
    sites: list[tuple[str, str]] = field(default_factory=list)


def read(path: str, text: str) -> Reading:
    """Return what a Dockerfile says; raises ``InvalidInput`` if it is not one."""
    notes = Notes(path)
    stages, arguments = _stages(path, instructions(path, text))
    chain = _chain(stages)
    root = _filled(chain[0].base, arguments)
    images.note(notes, root)
    for other in stages:
        if other not in chain and images.name_of(root) not in {"python", "node", "uv"}:
            images.note(notes, _filled(other.base, arguments))
    image = _Image()
    for stage in chain:
        _apply(stage.instructions, image)
    served = images.SITES.get(images.name_of(root))
    if served is not None:
        _site(notes, image, served, {stage.name.lower(): _workdir(stage) for stage in stages})
        return notes.reading()
    _command(notes, image)
    notes.ports(image.ports)
    if image.check:
        notes.health(image.check)
    return notes.reading()


def instructions(path: str, text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile; raises ``InvalidInput`` with the line of what is none."""
    lines = text.removeprefix("\ufeff").splitlines()
    escape = _escape(lines)
    found: list[Instruction] = []
    position = 0
    while position < len(lines):
        begin, (whole, position) = position, _whole(lines, position, escape)
        if not whole.strip():
            continue
        parts = _INSTRUCTION.fullmatch(whole)
        if parts is None:
            raise InvalidInput(f"{path}:{begin + 1}: this is not an instruction: {short(whole)!r}")
        name, rest = parts[1].upper(), (parts[2] or "").strip()
        for _, end in _HEREDOC.findall(rest) if name in _WITH_HEREDOC else ():
            position = _after_heredoc(lines, position, end)
            if position > len(lines):
                raise InvalidInput(f"{path}:{begin + 1}: the here-document {end} has no end")
        found.append(Instruction(name, rest))
    return found


def _escape(lines: Sequence[str]) -> str:
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if found is None:
            break
        if found[1].lower() == "escape" and found[2] == "`":
            return "`"
    return "\\"


def _whole(lines: Sequence[str], position: int, escape: str) -> tuple[str, int]:
    """Return the instruction that begins at a line with its continuation, and the position after it."""
    parts: list[str] = []
    while position < len(lines):
        line = lines[position]
        position += 1
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            if not parts:
                break
            continue
        plain = line.rstrip()
        if not plain.endswith(escape):
            parts.append(plain)
            break
        parts.append(plain.removesuffix(escape))
    return " ".join(parts), position


def _after_heredoc(lines: Sequence[str], position: int, end: str) -> int:
    """Return the position after the line that ends a here-document; beyond the lines if none does."""
    for number in range(position, len(lines)):
        if lines[number].strip() == end:
            return number + 1
    return len(lines) + 1


def _stages(path: str, found: Sequence[Instruction]) -> tuple[list[_Stage], dict[str, str]]:
    """Return the stages, and the values of the arguments before the first of them."""
    stages: list[_Stage] = []
    arguments: dict[str, str] = {}
    for item in found:
        if item.name == "FROM":
            parts = _FROM.fullmatch(item.rest)
            if parts is None:
                raise InvalidInput(f"{path}: FROM names no image: {short(item.rest)!r}")
            stages.append(_Stage(parts[1], parts[2] or ""))
        elif stages:
            stages[-1].instructions.append(item)
        elif item.name == "ARG":
            arguments |= {name: _filled(value, arguments) for name, value in _pairs(item.rest)}
        else:
            raise InvalidInput(f"{path}: {item.name} comes before FROM")
    if not stages:
        raise InvalidInput(f"{path}: it has no FROM")
    return stages, arguments


def _chain(stages: Sequence[_Stage]) -> list[_Stage]:
    """Return the last stage after those that it begins with, the first of them first."""
    chain = [stages[-1]]
    for stage in reversed(stages[:-1]):
        if stage.name and stage.name.lower() == chain[0].base.lower():
            chain.insert(0, stage)
    return chain


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for name, double, single, plain in _PAIR.findall(text):
        yield name, double or single or plain


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its variables replaced; one without a value stays."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[3], found[2] or found[0]), text)


def _apply(found: Sequence[Instruction], image: _Image) -> None:
    own_command = False
    for item in found:
        if item.name == "WORKDIR":
            image.workdir = posixpath.normpath(posixpath.join(image.workdir, item.rest))
        elif item.name == "ENV":
            text = item.rest if "=" in item.rest else item.rest.replace(" ", "=", 1)
            image.ports = [value for name, value in _pairs(text) if name == "PORT"] or image.ports
        elif item.name == "EXPOSE":
            image.ports += [word.partition("/")[0] for word in item.rest.split() if not word.endswith("/udp")]
        elif item.name == "CMD":
            image.command, own_command = item.rest, True
        elif item.name == "ENTRYPOINT":  # what an earlier stage gave it as arguments no longer holds
            image.entrypoint, image.command = item.rest, image.command if own_command else ""
        elif item.name == "HEALTHCHECK":
            rest = _FLAG.sub("", item.rest)
            image.check = rest[3:].strip() if rest[:3].upper() == "CMD" else ""
        elif item.name in {"COPY", "ADD"}:
            image.sites += _copied(item.rest)


def _copied(rest: str) -> Iterator[tuple[str, str]]:
    """Yield the stage that COPY copies from, or an empty text, and `path:target`, if it copies one path."""
    stage = re.search(r"--from=(\S+)", rest)
    words = _exec(_FLAG.sub("", rest)) or tuple(_FLAG.sub("", rest).split())
    if len(words) == 2:  # noqa: PLR2004 - source and target
        yield stage[1] if stage else "", f"{words[0]}:{words[1]}"


def _workdir(stage: _Stage) -> str:
    found = "/"
    for item in stage.instructions:
        if item.name == "WORKDIR":
            found = posixpath.normpath(posixpath.join(found, item.rest))
    return found


def _site(notes: Notes, image: _Image, served: str, workdirs: Mapping[str, str]) -> None:
    """Note the folder of the site that a web server's image serves."""
    notes.add("kind", "static")
    notes.doubt("a web server's own configuration is not read")
    for stage, copied in image.sites:
        source, _, target = copied.partition(":")
        if not target.rstrip("/").startswith(served):
            continue
        home = workdirs.get(stage.lower(), "/").rstrip("/")
        plain = posixpath.normpath(source.removeprefix(f"{home}/") if stage else source)
        if not plain.startswith(("/", "..")) and "*" not in plain:
            notes.add("files", plain)


def _command(notes: Notes, image: _Image) -> None:
    """Note what starts the program: ENTRYPOINT and CMD together."""
    entry, command = _exec(image.entrypoint), _exec(image.command)
    while entry and entry[0] in _INIT:
        entry = entry[2:] if entry[1:2] == ("--",) else entry[1:]
    if image.entrypoint and not entry and _exec(image.entrypoint) is None:
        notes.command("run", image.entrypoint, named="ENTRYPOINT")
        return
    if entry and _SHELL_SCRIPT.fullmatch(entry[0]):
        notes.doubt(f"what the script {entry[0]} does before the program starts is not read")
        entry = ()
    if command is None and image.command and entry:
        notes.doubt("ENTRYPOINT with a CMD that is a shell's line is not read")
    elif command is None and image.command:
        notes.command("run", image.command, named="CMD")
    else:
        words = (*(entry or ()), *(command or ()))
        notes.words("run", _below(words, image.workdir), named="CMD" if command else "ENTRYPOINT")


def _exec(text: str) -> tuple[str, ...] | None:
    """Return the words of an instruction in its JSON form; ``None`` if it is a shell's line."""
    try:
        value = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        return None
    plain = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return tuple(map(str, value)) if plain and isinstance(value, list) else None


def _below(words: Sequence[str], workdir: str) -> tuple[str, ...]:
    """Return the words with paths below the image's folder as paths below the app's."""
    home = f"{workdir.rstrip('/')}/"
    return tuple(word.removeprefix(home) if home != "/" else word for word in words)
