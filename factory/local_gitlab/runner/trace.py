"""Sends a job's log to the server: masked, in order, and again after a lost connection."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

from factory.errors import Unreachable
from factory.system import clock, http

_BEAT = 2.0
_PAUSE = 0.2
_TICK = 0.05
_PIECE = 2**20
_TRIES, _RETRY_PAUSE = 20, 0.5
_LONGEST_LINE = 65536
_LIMIT = 16 * 1024 * 1024
MASK = b"[MASKED]"


class Trace:
    """Collects output; ``canceled`` becomes true if the server reports canceled or failed.

    During the block of ``sent_in_time`` a thread sends what was written, or a heartbeat, whatever the job's own thread
    does meanwhile: it may pack artifacts for a minute.
    """

    def __init__(self, client: http.Client, job: int, token: str, masked: Iterable[str]) -> None:
        self._client = client
        self._path = f"/jobs/{job}/trace"
        self._token = token
        self._masked = [value.encode() for value in masked if value]
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._pending = b""
        self._ready = b""
        self._sent = 0
        self._written = 0
        self._last = 0.0
        self.canceled = False

    @contextmanager
    def sent_in_time(self) -> Iterator[None]:
        """Send output and heartbeats during the block, and the rest of the output at its end."""
        sender = threading.Thread(target=self._send_all, daemon=True)
        sender.start()
        try:
            yield
        finally:
            self._over.set()
            sender.join()

    def _send_all(self) -> None:
        while not self._over.wait(_TICK):
            self._flush()
        with self._lock:
            self._ready += self._mask(self._pending)
            self._pending = b""
        for _ in range(_TRIES):
            with suppress(Unreachable):
                while self._ready and not self.canceled:
                    self._send(self._ready[:_PIECE])
                return
            clock.sleep(_RETRY_PAUSE)

    def write(self, data: bytes) -> None:
        """Add output and mask its complete lines. Beyond 16 MiB, output is replaced by one notice."""
        with self._lock:
            if self._written > _LIMIT:
                return
            self._written += len(data)
            if self._written > _LIMIT:
                data = b"\nThe job's log exceeds 16 MiB; the rest is not kept.\n"
            lines, newline, rest = (self._pending + data).rpartition(b"\n")
            if not newline and len(rest) < _LONGEST_LINE:
                self._pending = rest
                return
            self._ready += self._mask(lines + newline if newline else rest)
            self._pending = rest if newline else b""

    def _flush(self) -> None:
        """Send masked output, or a heartbeat if one is due; unsent output stays queued if the server is unreachable."""
        now = clock.monotonic()
        piece = self._ready[:_PIECE]
        quiet = now - self._last
        if quiet < (_PAUSE if piece else _BEAT):
            return
        self._last = now
        with suppress(Unreachable):
            self._send(piece)

    def _send(self, piece: bytes) -> None:
        headers = {"JOB-TOKEN": self._token, "Content-Range": f"{self._sent}-{self._sent + max(len(piece) - 1, 0)}"}
        answer = self._client.send("PATCH", self._path, data=piece, headers={**headers, "Content-Type": "text/plain"})
        if answer.status == HTTPStatus.ACCEPTED:
            with self._lock:
                self._ready = self._ready[len(piece) :]
            self._sent += len(piece)
        elif answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._sent = int(answer.headers.get("Range", "0-0").split("-")[1])
        else:
            self.canceled = True  # the server knows no running job of this token
        self.canceled = self.canceled or answer.headers.get("Job-Status") in {"canceled", "failed"}

    def _mask(self, data: bytes) -> bytes:
        for value in self._masked:
            data = data.replace(value, MASK)
        return data
