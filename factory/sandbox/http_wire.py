"""Reads HTTP/1.1 from a socket strictly (RFC 9112): one head and one body, both bounded; refuses ambiguous messages."""

import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from factory.system import clock

CHUNK = 65536
_LONGEST_HEAD = 65536
_LONGEST_SIZE = 64
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class NotHttp(ValueError):
    """The peer's message is not HTTP/1.1 that this module accepts."""


@dataclass(frozen=True)
class Head:
    """The first line of a message and its headers."""

    first: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


class Reader:
    """Reads HTTP messages from a socket; ``idle`` is how many seconds the peer may be silent."""

    def __init__(self, source: socket.socket, *, idle: float) -> None:
        self._source = source
        self._idle = idle
        self._rest = b""

    def head(self, *, within: float) -> Head:
        """Return the next head; raises ``NotHttp``, and ``TimeoutError`` after ``within`` seconds."""
        deadline = clock.monotonic() + within
        while b"\r\n\r\n" not in self._rest:
            if len(self._rest) > _LONGEST_HEAD:
                raise NotHttp("the head is too long")
            left = deadline - clock.monotonic()
            if left <= 0:
                raise TimeoutError
            self._source.settimeout(left)
            data = self._source.recv(CHUNK)
            if not data:
                raise NotHttp("the connection ended within the head" if self._rest else "no request was sent")
            self._rest += data
        self._source.settimeout(self._idle)
        text, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return _head(text.decode("latin-1"))

    def some(self, limit: int = CHUNK) -> bytes:
        """Return the next bytes, at most ``limit``; empty at the end."""
        if not self._rest:
            return self._source.recv(min(limit, CHUNK))
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def body(self, framing: int | None) -> Iterator[bytes]:
        """Yield a body as it arrives: ``framing`` bytes, or chunked if ``framing`` is ``None``."""
        if framing is not None:
            yield from self._exactly(framing)
            return
        while size := self._chunk_size():
            yield from self._exactly(size)
            if self._line() != b"":
                raise NotHttp("a chunk is longer than it says")
        for _ in range(_LONGEST_SIZE):
            if self._line() == b"":
                return
        raise NotHttp("too many trailers")

    def to_the_end(self) -> Iterator[bytes]:
        """Yield everything until the peer closes."""
        while data := self.some():
            yield data

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self.some(size)
            if not data:
                raise NotHttp("the connection ended within the body")
            size -= len(data)
            yield data

    def _chunk_size(self) -> int:
        number = self._line().split(b";", 1)[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", number):
            raise NotHttp("a chunk has no size")
        return int(number, 16)

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest:
            if len(self._rest) > _LONGEST_HEAD:
                raise NotHttp("a line is too long")
            data = self._source.recv(CHUNK)
            if not data:
                raise NotHttp("the connection ended within the body")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line


def framing(head: Head) -> int | None:
    """Return a body's length: 0 without a body, ``None`` for a chunked one; raises ``NotHttp`` if it is ambiguous."""
    coded, lengths = head.values("transfer-encoding"), head.values("content-length")
    if coded:
        if lengths or [value.lower() for value in coded] != ["chunked"]:
            raise NotHttp("the body has two lengths")
        return None
    if len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,18}", value) for value in lengths):
        raise NotHttp("the body's length is ambiguous")
    return int(lengths[0]) if lengths else 0


def render(first: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """Return a head as bytes."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; empty data gives the last chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _head(text: str) -> Head:
    first, *lines = text.split("\r\n")
    parts = first.split(" ", 2)
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise NotHttp("a header cannot be read")
        headers.append((name, value.strip(" \t")))
    if len(parts) < 2 or not _VALUE.fullmatch(first):  # noqa: PLR2004 - a status line may lack its reason
        raise NotHttp("the first line cannot be read")
    return Head((parts[0], parts[1], parts[2] if len(parts) > 2 else ""), tuple(headers))  # noqa: PLR2004 - see above
