"""Sends a job's log to the server: masked, in order, and again after a lost connection."""

import threading
from collections.abc import Iterable
from http import HTTPStatus

from factory.errors import Unreachable
from factory.system import clock, http

_BEAT = 2.0
_PAUSE = 0.2
_LONGEST_LINE = 65536
_LIMIT = 16 * 1024 * 1024
MASK = b"[MASKED]"


class Trace:
    """Collects output and sends it in pieces; ``canceled`` becomes true if the server reports canceled or failed."""

    def __init__(self, client: http.Client, job: int, token: str, masked: Iterable[str]) -> None:
        self._client = client
        self._path = f"/jobs/{job}/trace"
        self._token = token
        self._masked = [value.encode() for value in masked if value]
        self._lock = threading.Lock()
        self._pending = b""
        self._ready = b""
        self._sent = 0
        self._written = 0
        self._last = 0.0
        self.canceled = False

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

    def flush(self, *, final: bool = False) -> None:
        """Send masked output, or a heartbeat if one is due; unsent output stays queued if the server is unreachable."""
        now = clock.monotonic()
        with self._lock:
            if final:
                self._ready += self._mask(self._pending)
                self._pending = b""
            piece = self._ready
        quiet = now - self._last
        if not final and quiet < (_PAUSE if piece else _BEAT):
            return
        self._last = now
        try:
            self._send(piece)
        except Unreachable:
            return

    def _send(self, piece: bytes) -> None:
        headers = {"JOB-TOKEN": self._token, "Content-Range": f"{self._sent}-{self._sent + max(len(piece) - 1, 0)}"}
        answer = self._client.send("PATCH", self._path, data=piece, headers={**headers, "Content-Type": "text/plain"})
        if answer.status == HTTPStatus.ACCEPTED:
            with self._lock:
                self._ready = self._ready[len(piece) :]
            self._sent += len(piece)
        elif answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._sent = int(answer.headers.get("Range", "0-0").split("-")[1])
        self.canceled = self.canceled or answer.headers.get("Job-Status") in {"canceled", "failed"}

    def _mask(self, data: bytes) -> bytes:
        for value in self._masked:
            data = data.replace(value, MASK)
        return data
