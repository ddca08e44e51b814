"""A proxy in front of the loopback API that answers as on a bad day: limits, failures, silence, broken connections."""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

import requests

# ``drop_after`` carries the request out and breaks the connection instead of answering; ``html`` is no envelope.
Deed = Literal["pass", "401", "429", "500", "hang", "reset", "drop_after", "html"]
# Method, path below /client/v4, and how often this pair was asked for, from 1.
Script = Callable[[str, str, int], Deed]

_PASSED = ("Authorization", "Content-Type")


@contextmanager
def misbehaving(target_url: str, script: Script) -> Iterator[str]:
    """Yield the URL to use in the place of ``target_url``; ``script`` says what becomes of each request."""
    server = _Proxy(target_url, script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{urlsplit(target_url).path}"
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, target: str, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.script = target, script
        self.base = urlsplit(target).path
        self.ending = threading.Event()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def deed(self, method: str, path: str) -> Deed:
        with self._lock:
            self._counts[method, path] += 1
            return self.script(method, path, self._counts[method, path])


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix(self.server.base)
        match self.server.deed(self.command, path):
            case "pass":
                self._say(*self._forward(path, body))
            case "drop_after":
                self._forward(path, body)
                self._break()
            case "hang":
                self.server.ending.wait(60)
                self._break()
            case "reset":
                self._break()
            case "html":
                self._say(200, b"<!doctype html><p>maintenance")
            case "401":
                self._say(401, _envelope(10000, "Authentication error"))
            case "429":
                self._say(429, _envelope(10429, "Too many requests"), ("Retry-After", "1"))
            case "500":
                self._say(500, _envelope(10001, "Internal error"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the names that the library calls

    def _forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {name: self.headers[name] for name in _PASSED if name in self.headers}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                self.command, self.server.target + path, data=body or None, headers=headers, timeout=30
            )
        return answer.status_code, answer.content

    def _say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        """Close so that the client sees a reset and no end of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        """Leave a connection alone that is broken already."""
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _envelope(code: int, message: str) -> bytes:
    return json.dumps({"success": False, "errors": [{"code": code, "message": message}], "result": None}).encode()
