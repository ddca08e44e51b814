"""A proxy between a client and a loopback GitLab: it counts what passes, and fails or lies as it is told to."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

# What a request meets: it passes; it is answered in the server's stead; it is cut off before or after it was done.
Fate = Literal["pass", "429", "500", "502", "slow", "reset", "answer lost"]
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HOPS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@dataclass
class Between:
    """A running proxy: its address, and the API requests that it was sent (method, path, whose token).

    ``before`` is called with the method and path of each request, git's too, before the request passes.
    """

    url: str
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    fate: Callable[[str, str], Fate] = lambda _method, _path: "pass"
    changed: Callable[[str, bytes], bytes] = lambda _path, data: data
    before: Callable[[str, str], object] = lambda _method, _path: None

    @property
    def writes(self) -> int:
        """How many of them could change something."""
        return sum(method in WRITES for method, _, _ in self.sent)


@contextmanager
def between(server: str, *, slow: float = 3.0) -> Iterator[Between]:
    """Run a proxy in front of ``server`` until the block ends; a ``slow`` answer takes that many seconds."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    proxy = Between(f"http://127.0.0.1:{listening.server_port}")
    listening.RequestHandlerClass = type(
        "Passing", (_Passing,), {"proxy": proxy, "target": urlsplit(server), "slow": slow}
    )
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)


class _Passing(BaseHTTPRequestHandler):
    """Passes each request on, or what its fate is."""

    protocol_version = "HTTP/1.1"
    proxy: Between
    target: SplitResult
    slow: float

    def _pass(self) -> None:
        body = self._body()
        self.proxy.before(self.command, self.path)
        fate: Fate = "pass"
        if self.path.startswith("/api/"):
            self.proxy.sent.append((self.command, urlsplit(self.path).path, self.headers.get("PRIVATE-TOKEN", "")))
            fate = self.proxy.fate(self.command, self.path)
        if fate in {"429", "500", "502"}:
            self._say(int(fate), {"Retry-After": "120"} if fate == "429" else {}, b'{"message":"not now"}')
            return
        if fate == "reset":
            self._cut()
            return
        status, headers, data = self._asked(body)
        if self.path.startswith("/api/"):
            data = self.proxy.changed(self.path, data)
        if fate == "slow":
            time.sleep(self.slow)
        if fate == "answer lost":
            self._cut()
            return
        self._say(status, headers, data)

    def _body(self) -> bytes:
        """Return the request's body; git sends a large one in chunks (RFC 9112, section 7.1)."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        del self.headers["Transfer-Encoding"]
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(str(self.target.hostname), int(self.target.port or 80), timeout=60)
        try:
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOPS}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _say(self, status: int, headers: dict[str, str], data: bytes) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD" and status not in {204, 304}:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the names http.server looks for

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
