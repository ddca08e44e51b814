"""Receives GitLab's webhooks on loopback: each only wakes the loop, which then polls GitLab (docs: Webhooks).

The content of an event is never used, so a forged or stale event only causes one poll. The sender must know the secret
token. An event that GitLab sends again, as it does after a timeout, does not wake the loop twice.
"""

import hmac
import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from factory.errors import PortInUse
from factory.model.secret import Secret

if TYPE_CHECKING:
    from email.message import Message

_REMEMBERED = 1000
# GitLab docs: a payload may have 25 MB; it is read and discarded.
_LARGEST, _DIGITS, _PATIENCE = 25 * 1024 * 1024, 10, 10.0
# Connections at a time: each has a thread. GitLab sends a project's events one after another.
_MOST_OPEN = 32
_OWN, _PORT = ("127.0.0.1", "localhost"), re.compile(r":\d{1,5}$")
_IDS = ("webhook-id", "Idempotency-Key", "X-Gitlab-Event-UUID")


class Inbox:
    """Checks events by their headers and wakes the waiting thread; thread-safe."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._bell = threading.Event()

    def take(self, headers: "Message[str, str]") -> HTTPStatus:
        """Return the response status of an event: 401 without the secret token, else 200, also for a repeated event."""
        token = headers.get("X-Gitlab-Token") or ""
        if not token or not hmac.compare_digest(token.encode(), self._secret.reveal().encode()):
            return HTTPStatus.UNAUTHORIZED
        if self._is_new(next((headers[name] for name in _IDS if headers.get(name)), "")):
            self._bell.set()
        return HTTPStatus.OK

    def wait(self, seconds: float) -> bool:
        """Wait for an event; return whether any came since the last call."""
        came = self._bell.wait(seconds)
        if came:
            self._bell.clear()
        return came

    def _is_new(self, name: str) -> bool:
        """Return whether an event was not received before; an event without an id is always new."""
        with self._lock:
            if name and name in self._seen:
                return False
            self._seen[name] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return True


@contextmanager
def listening(port: int, secret: Secret, *, names: Collection[str] = ()) -> Iterator[Inbox]:
    """Listen on a port of 127.0.0.1 until the block ends; raises ``PortInUse``.

    ``names`` are the hosts under which a tunnel forwards requests, besides the own address.
    """
    inbox = Inbox(secret)
    known = {"inbox": inbox, "names": frozenset({*_OWN, *names})}
    try:
        server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), known))
    except OSError as error:
        raise PortInUse(f"port {port} is in use", hint="Choose another port for --webhook.") from error
    thread = threading.Thread(target=server.serve_forever, name="webhook", daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Ends each connection after ten seconds, however slowly it sends, and refuses more than ``_MOST_OPEN`` of them."""

    daemon_threads = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._free = threading.BoundedSemaphore(_MOST_OPEN)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, if one is free."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection within the time."""
        end = threading.Timer(_PATIENCE, _hang_up, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        """Print nothing: a sender that hangs up is no error of ours."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Answers at once, because GitLab stops waiting after ten seconds and sends the event again.

    As ``system/loopback`` does, it answers 421 to a foreign ``Host`` (RFC 9110 section 15.5.20), and 403 to a web page.
    """

    inbox: Inbox
    names: frozenset[str]
    timeout = _PATIENCE
    server_version, sys_version = "factory", ""

    def do_POST(self) -> None:
        """Receive one event."""
        if _PORT.sub("", self.headers.get("Host") or "").lower() not in self.names:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST)
            return
        if self.headers.get("Origin") is not None:
            self._answer(HTTPStatus.FORBIDDEN)
            return
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit() and len(length) < _DIGITS) or int(length) > _LARGEST:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        status = self.inbox.take(self.headers)
        left = int(length) if status == HTTPStatus.OK else 0
        while left > 0 and (part := self.rfile.read(min(left, 65536))):
            left -= len(part)
        self._answer(status)

    def _answer(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing, because the sender controls the text."""
