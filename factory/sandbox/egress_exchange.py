"""Serves one connection of the egress proxy: reads one request, relays or refuses it, and returns the record."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from factory.sandbox import http_wire as wire
from factory.sandbox.egress_rules import RequestDecision, Rules, judge, onward, public
from factory.system import clock

_INFORMATIONAL = 200


class Tap(Protocol):
    """Receives the traffic of routes: request sizes, and answers' heads and bodies as they arrive, by number."""

    def asked(self, size: int) -> None:
        """Receive the number of relayed bytes of a request."""

    def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
        """Receive an answer's status and headers (names in lower case)."""

    def said(self, number: int, chunk: bytes) -> None:
        """Receive a part of an answer's body."""

    def done(self, number: int) -> None:
        """Receive the end of an answer."""

    def unreachable(self, reason: str) -> None:
        """Receive why the route's server could not be reached."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one sandbox: open connections, and seconds for a request's head, for connecting, and of silence."""

    connections: int = 128
    head_seconds: float = 10.0
    connect_seconds: float = 20.0
    idle_seconds: float = 300.0


class Exchange:
    """One connection: one request, relayed or refused."""

    def __init__(self, sockets: list[socket.socket], rules: Rules, bounds: Bounds, tap: Tap | None = None) -> None:
        self._any_tap = tap
        self._sockets = sockets
        self._client = sockets[0]
        self._rules = rules
        self._bounds = bounds
        self._time = clock.timestamp()
        self._method = ""
        self._judged = RequestDecision(allowed=False, reason="")
        self._status = 0
        self._sent = self._received = 0
        self._active = clock.monotonic()

    def facts(self) -> dict[str, object]:
        """Return the record of the exchange."""
        judged = self._judged
        return {
            "time": self._time,
            "method": self._method,
            "host": judged.host,
            "port": judged.port,
            "path": judged.path,
            "allowed": judged.allowed,
            "reason": judged.reason,
            "status": int(self._status),
            "sent": self._sent,
            "received": self._received,
        }

    def run(self) -> None:
        """Serve the connection to its end; an error on either side ends only this connection."""
        reader = wire.Reader(self._client, idle=self._bounds.idle_seconds)
        try:
            head = reader.head(within=self._bounds.head_seconds)
            length = wire.framing(head)
        except wire.NotHttp as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        except OSError:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "no request was received in time")
            return
        self._method, target, version = head.first
        self._method = self._method[:32]
        if not version.startswith("HTTP/1."):
            self._refuse(HTTPStatus.BAD_REQUEST, "not HTTP/1.1")
            return
        self._judged = judge(self._rules, head.first[0], target)
        if not self._judged.allowed:
            self._refuse(HTTPStatus.FORBIDDEN, self._judged.reason)
            return
        upstream = self._connect()
        if upstream is None:
            return
        try:
            if self._judged.tunnel:
                self._tunnel(reader, upstream)
            else:
                self._forward(head, reader, length, upstream)
        except (OSError, wire.NotHttp) as error:
            if not self._status:
                self._bad_gateway(f"{self._judged.host} broke the connection", f" ({type(error).__name__})")

    @property
    def _tap(self) -> Tap | None:
        """Return the tap, for routes only: their traffic is the factory's own."""
        return self._any_tap if self._judged.route else None

    def _connect(self) -> socket.socket | None:
        """Return a connection to a checked address of the host; the name is resolved only once."""
        judged = self._judged
        try:
            found = socket.getaddrinfo(judged.host, judged.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            self._bad_gateway(f"{judged.host} has no address")
            return None
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        if not judged.trusted and not all(public(address) for address in addresses):
            reason = f"{judged.host} resolves to a private address"
            self._judged = RequestDecision(
                allowed=False, reason=reason, host=judged.host, port=judged.port, path=judged.path
            )
            self._refuse(HTTPStatus.FORBIDDEN, reason)
            return None
        for address in addresses:
            with contextlib.suppress(OSError):
                upstream = socket.create_connection((address, judged.port), self._bounds.connect_seconds)
                upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are sent separately
                self._sockets.append(upstream)
                if judged.tls:
                    upstream = ssl.create_default_context().wrap_socket(upstream, server_hostname=judged.host)
                    self._sockets.append(upstream)
                upstream.settimeout(self._bounds.idle_seconds)
                return upstream
        self._bad_gateway(f"{judged.host}:{judged.port} does not answer")
        return None

    def _tunnel(self, reader: wire.Reader, upstream: socket.socket) -> None:
        self._status = HTTPStatus.OK
        self._client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self._copy_back, args=(upstream,), daemon=True)
        back.start()
        try:
            for data in self._while_active(reader.some):
                self._sent += len(data)
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
        except OSError:
            shut(upstream)
        back.join()

    def _copy_back(self, upstream: socket.socket) -> None:
        try:
            for data in self._while_active(lambda: upstream.recv(wire.CHUNK)):
                self._received += len(data)
                self._client.sendall(data)
            self._client.shutdown(socket.SHUT_WR)
        except OSError:
            shut(self._client)
            shut(upstream)

    def _while_active(self, read: Callable[[], bytes]) -> Iterator[bytes]:
        """Yield the received data; a silent direction times out only if the other one is silent too."""
        while True:
            try:
                data = read()
            except TimeoutError:
                if clock.monotonic() - self._active >= self._bounds.idle_seconds:
                    raise
                continue
            self._active = clock.monotonic()
            if not data:
                return
            yield data

    def _forward(self, head: wire.Head, reader: wire.Reader, length: int | None, upstream: socket.socket) -> None:
        headers = onward(head.headers, self._judged)
        if length is None:
            headers.append(("Transfer-Encoding", "chunked"))
        upstream.sendall(wire.render(f"{head.first[0]} {self._judged.target} HTTP/1.1", headers))
        if any(value.lower() == "100-continue" for value in head.values("expect")):
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for data in reader.body(length):
            self._sent += len(data)
            if self._tap:
                self._tap.asked(len(data))
            upstream.sendall(wire.chunk(data) if length is None else data)
        if length is None:
            upstream.sendall(wire.chunk(b""))
        self._return(head.first[0], wire.Reader(upstream, idle=self._bounds.idle_seconds))

    def _return(self, method: str, answers: wire.Reader) -> None:
        """Relay the answer piece by piece as it arrives, so that event streams work."""
        status = 0
        while status < _INFORMATIONAL:
            head = answers.head(within=self._bounds.idle_seconds)
            status = int(head.first[1]) if head.first[1].isascii() and head.first[1].isdigit() else 0
            if status < 100:  # noqa: PLR2004 - not a status of HTTP
                raise wire.NotHttp("the answer has no status")
        length = wire.framing(head)
        own = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "trailer", "upgrade"}
        headers = [(name, value) for name, value in head.headers if name.lower() not in own]
        if length is None:
            headers.append(("Transfer-Encoding", "chunked"))
        self._status = status
        answer = wire.render(f"HTTP/1.1 {status} {head.first[2]}", [*headers, ("Connection", "close")])
        if method == "HEAD" or status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            self._client.sendall(answer)
            return
        framed = length is None or bool(head.values("content-length"))
        # Before the client receives the answer: the client may exit at once, and then the tap is asked for the cause.
        if self._tap:
            self._tap.answered(id(self), status, {name.lower(): value for name, value in head.headers})
        try:
            self._client.sendall(answer)
            self._return_body(answers.body(length) if framed else answers.to_the_end(), chunked=length is None)
        finally:
            if self._tap:
                self._tap.done(id(self))

    def _return_body(self, parts: Iterator[bytes], *, chunked: bool) -> None:
        for data in parts:
            self._received += len(data)
            if self._tap:
                self._tap.said(id(self), data)
            self._client.sendall(wire.chunk(data) if chunked else data)
        if chunked:
            self._client.sendall(wire.chunk(b""))

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        if not self._judged.reason:
            self._judged = RequestDecision(allowed=False, reason=reason)
        self._answer(status, reason)

    def _bad_gateway(self, reason: str, detail: str = "") -> None:
        """Tell the tap, then the client, that the server did not answer: the client may exit as soon as it knows."""
        if self._tap:
            self._tap.unreachable(reason)
        self._answer(HTTPStatus.BAD_GATEWAY, reason + detail)

    def _answer(self, status: HTTPStatus, reason: str) -> None:
        """Send an answer of the proxy itself, in one line."""
        self._status = status
        body = f"egress: {reason}\n".encode()
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Connection", "close")]
        with contextlib.suppress(OSError):
            self._client.settimeout(self._bounds.head_seconds)
            self._client.sendall(wire.render(f"HTTP/1.1 {int(status)} {status.phrase}", headers) + body)


def shut(end: socket.socket) -> None:
    """Shut down both directions of a connection, so that blocked threads wake up."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
