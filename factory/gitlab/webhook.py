"""Receives GitLab's webhooks on loopback: each only wakes the loop, which then polls GitLab (docs: Webhooks).

The content of an event is never used, so a forged or stale event only causes one poll. The sender must know the secret
token. An event that GitLab sends again, as it does after a timeout, does not wake the loop twice.
"""

import hmac
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
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
def listening(port: int, secret: Secret) -> Iterator[Inbox]:
    """Listen on a port of 127.0.0.1 until the block ends; raises ``PortInUse``."""
    inbox = Inbox(secret)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"inbox": inbox}))
    except OSError as error:
        raise PortInUse(f"port {port} is in use", hint="Choose another port for --webhook.") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="webhook", daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers at once, because GitLab stops waiting after ten seconds and sends the event again."""

    inbox: Inbox
    timeout = _PATIENCE
    server_version, sys_version = "factory", ""

    def do_POST(self) -> None:
        """Receive one event."""
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
