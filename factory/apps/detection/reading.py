"""What one file says of an app, and how its texts are read. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from factory.apps import commands
from factory.errors import InvalidInput

Field = Literal["kind", "python", "node", "build", "files", "run", "port", "health", "test"]
_PORT_DEFAULT = re.compile(r"\$\{PORT:?-(\d{1,5})\}")
_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d{1,5}|\$\{?PORT(?::?-\d{1,5})?\}?))?(/[^\s\"'|)\\]*)?"
)
_MOST_WORDS, _LONGEST_WORD, _LONGEST_PATH = 100, 1000, 200
_HIGHEST_PORT = 65_535
_SHOWN = 120
LONGEST_LINE = 400


@dataclass(frozen=True)
class Clue:
    """A value that a file gives to a field: the words of a command, or one text. ``source`` is the file's path."""

    field: Field
    value: tuple[str, ...]
    source: str

    @property
    def text(self) -> str:
        """Return the value in one line."""
        return " ".join(self.value)


@dataclass(frozen=True)
class Reading:
    """What a file says; ``doubts`` are lines on what it leaves open."""

    clues: tuple[Clue, ...] = ()
    doubts: tuple[str, ...] = ()


class Notes:
    """Collects what one file says while it is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._clues: list[Clue] = []
        self._doubts: list[str] = []

    def add(self, field: Field, *value: str) -> None:
        """Note the value of a field."""
        self._clues.append(Clue(field, value, self.source))

    def doubt(self, text: str) -> None:
        """Note what the file leaves open."""
        self._doubts.append(short(f"{self.source}: {text}", LONGEST_LINE))

    def command(self, field: Field, text: str, *, named: str) -> None:
        """Note a command that is a shell's line, if no shell is needed; ``named`` is what the file calls it."""
        if found := _PORT_DEFAULT.search(text):
            self.port(found[1])
        plain = _PORT_DEFAULT.sub("$PORT", text.strip()).removeprefix("exec ")
        try:
            self.words(field, commands.split(plain, named), named=named)
        except InvalidInput:
            self.doubt(f"{named} needs a shell, which a release has not: {short(text)}")

    def words(self, field: Field, words: tuple[str, ...], *, named: str) -> None:
        """Note a command by its words; one that a shell is given is read as the shell's line."""
        if len(words) > 2 and words[0] in {"sh", "/bin/sh", "bash", "/bin/bash"} and words[1] in {"-c", "-lc"}:  # noqa: PLR2004 - sh -c LINE
            self.command(field, words[2], named=named)
        elif len(words) > _MOST_WORDS or any(_is_strange(word) for word in words):
            self.doubt(f"{named} has words that no release can have: {short(' '.join(words))}")
        elif words:
            self.add(field, *words)

    def port(self, text: str) -> None:
        """Note a port, if the text is one."""
        if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _HIGHEST_PORT:
            self.add("port", str(int(text)))

    def ports(self, texts: Iterable[str]) -> None:
        """Note the first of several ports."""
        found = list(dict.fromkeys(text for text in texts if text.isascii() and text.isdigit()))
        for text in found[:1]:
            self.port(text)
        if len(found) > 1:
            self.doubt(f"it names several ports, and the first is taken: {short(', '.join(found))}")

    def health(self, command: str) -> None:
        """Note the path and the port of the address that a health check's command asks."""
        found = _URL.search(command)
        if found is None:
            self.doubt(f"its health check asks no address of this machine: {short(command)}")
            return
        self.port(found[1] or "")
        path = (found[2] or "/").partition("#")[0]
        if len(path) <= _LONGEST_PATH and re.fullmatch(r"/[!-~]*", path):
            self.add("health", path)

    def reading(self) -> Reading:
        """Return what was noted, each once."""
        return Reading(tuple(dict.fromkeys(self._clues)), tuple(dict.fromkeys(self._doubts)))


def _is_strange(word: str) -> bool:
    return not word or len(word) > _LONGEST_WORD or not word.isprintable()


def short(text: str, most: int = _SHOWN) -> str:
    """Return a text in one printable line that is not too long to show."""
    plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in " ".join(text.split()))
    return plain if len(plain) <= most else f"{plain[:most]}…"
