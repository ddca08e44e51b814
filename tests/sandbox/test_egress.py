"""The egress proxy on a real socket, against real HTTP servers on loopback."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from factory.sandbox import egress
from factory.sandbox.egress import Bounds, Route, Rules
from tests.servers import free_port, wait_for

SECRET = "sk-route-credential"


class Server(BaseHTTPRequestHandler):
    """Answers with what it was asked; ``/events`` streams, ``/silent`` never answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/v1/events"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(3):
                part = f"data: {number}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(0.15)
            self.wfile.write(b"0\r\n\r\n")
            return
        self._echo(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._echo(body)

    def _echo(self, body: bytes) -> None:
        seen = {"path": self.path, "headers": dict(self.headers.items()), "body": body.decode()}
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def proxy(tmp_path: Path, rules: Rules, **more: Any) -> Iterator[tuple[Path, list[Mapping[str, Any]]]]:
    seen: list[Mapping[str, Any]] = []
    path = tmp_path / "state" / "egress"
    with egress.serve(path, rules, record=seen.append, **more):
        yield path, seen


def ask(path: Path, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        answer = b""
        with suppress(BrokenPipeError):  # refused before it was asked
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
        while True:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                return answer
            if not part:
                return answer
            answer += part


def get(target: str, *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: x", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def body(answer: bytes) -> Any:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def test_route_swaps_the_credential_and_keeps_the_rest(tmp_path: Path, upstream: int) -> None:
    rules = Rules(routes={"model": Route(f"http://127.0.0.1:{upstream}/base", {"Authorization": f"Bearer {SECRET}"})})
    with proxy(tmp_path, rules) as (path, seen):
        own = ("Authorization: Bearer stolen", "x-api-key: stolen", "Cookie: stolen=1", "X-Kept: yes")
        answer = body(ask(path, get("/model/v1/models?page=2&key=hidden", *own)))
    assert answer["path"] == "/base/v1/models?page=2&key=hidden"
    assert answer["headers"]["Authorization"] == f"Bearer {SECRET}"
    assert answer["headers"]["X-Kept"] == "yes"
    assert answer["headers"]["Host"] == f"127.0.0.1:{upstream}"
    assert "stolen" not in json.dumps(answer)
    (event,) = seen
    assert {key: event[key] for key in ("method", "host", "port", "path", "allowed", "status", "reason")} == {
        "method": "GET",
        "host": "127.0.0.1",
        "port": upstream,
        "path": "/model/v1/models",
        "allowed": True,
        "status": 200,
        "reason": "route model",
    }
    assert event["received"] > 0
    assert SECRET not in json.dumps(seen)
    assert "hidden" not in json.dumps(seen)
    assert SECRET not in repr(rules)


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_pass_whole(tmp_path: Path, upstream: int, *, chunked: bool) -> None:
    rules = Rules(routes={"model": Route(f"http://127.0.0.1:{upstream}")})
    data = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" if chunked else b"hello world"
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
    request = f"POST /model/v1/x HTTP/1.1\r\nHost: x\r\n{length}\r\nExpect: 100-continue\r\n\r\n".encode() + data
    with proxy(tmp_path, rules) as (path, seen):
        answer = ask(path, request)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    assert json.loads(answer.split(b"\r\n\r\n", 2)[2])["body"] == "hello world"
    assert seen[0]["sent"] == 11


@pytest.mark.parametrize("serves", [True, False])
def test_an_answer_is_noted_before_the_program_has_it(tmp_path: Path, upstream: int, serves: bool) -> None:  # noqa: FBT001 - parametrized
    noted: list[object] = []

    class Tap:
        def asked(self, size: int) -> None: ...

        def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
            del number, headers
            time.sleep(0.2)
            noted.append(status)

        def said(self, number: int, chunk: bytes) -> None: ...

        def done(self, number: int) -> None: ...

        def unreachable(self, reason: str) -> None:
            time.sleep(0.2)
            noted.append(reason)

    port = upstream if serves else free_port()
    rules = Rules(routes={"model": Route(f"http://127.0.0.1:{port}")})
    with proxy(tmp_path, rules, tap=Tap()) as (path, _), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(get("/model/v1/events"))
        assert client.recv(1)
        known = [200] if serves else [f"127.0.0.1:{port} does not answer"]
        assert noted == known, "a program that ends at the first byte is judged by what is noted"


def test_events_are_not_held_back(tmp_path: Path, upstream: int) -> None:
    heard: list[Any] = []

    class Tap:
        def asked(self, size: int) -> None:
            heard.append(size)

        def answered(self, number: int, status: int, headers: Mapping[str, str]) -> None:
            heard.append((number > 0, status, headers["content-type"]))

        def said(self, number: int, chunk: bytes) -> None:
            heard.append((number > 0, chunk))

        def done(self, number: int) -> None:
            heard.append(number > 0)

        def unreachable(self, reason: str) -> None:
            heard.append(reason)

    rules = Rules(routes={"model": Route(f"http://127.0.0.1:{upstream}")})
    with proxy(tmp_path, rules, tap=Tap()) as (path, _), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(get("/model/v1/events"))
        began, came = time.monotonic(), []
        while part := client.recv(65536):
            came += [time.monotonic() - began] * part.count(b"data: ")
    assert len(came) == 3
    assert came[2] - came[0] > 0.2
    assert heard == [
        (True, 200, "text/event-stream"),
        (True, b"data: 0\n\n"),
        (True, b"data: 1\n\n"),
        (True, b"data: 2\n\n"),
        True,
    ]


def test_tunnel_and_absolute_form_to_an_allowed_address(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, Rules(allowed=(f"127.0.0.1:{upstream}",))) as (path, seen):
        connect = f"CONNECT 127.0.0.1:{upstream} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        tunnelled = ask(path, connect + get("/v1/deep", "Connection: close"))
        assert tunnelled.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200")
        wait_for(lambda: seen)  # a tunnel is noted once both sides have left it
        plain = body(ask(path, get(f"http://127.0.0.1:{upstream}/v1/y?q=1", "Host: other.example")))
        assert plain["headers"]["Host"] == f"127.0.0.1:{upstream}"
        assert plain["path"] == "/v1/y?q=1"
    assert [(event["method"], event["status"], event["path"]) for event in seen] == [
        ("CONNECT", 200, ""),
        ("GET", 200, "/v1/y"),
    ]
    assert seen[0]["sent"] > 0
    assert seen[0]["received"] > 0


def test_an_allowed_name_that_leads_home_is_refused(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, Rules(allowed=(f"localhost:{upstream}",))) as (path, seen):
        answer = ask(path, f"CONNECT localhost:{upstream} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"egress: localhost resolves to a private address\n" in answer
    assert seen[0]["allowed"] is False


def test_everything_else_is_one_clear_line(tmp_path: Path) -> None:
    with proxy(tmp_path, Rules()) as (path, seen):
        answer = ask(path, b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.endswith(b"\r\n\r\negress: evil.example:443 is not allowed\n")
    assert seen[0]["status"] == 403


GARBAGE = {
    "noise": bytes(range(256)) * 4 + b"\r\n\r\n",
    "nothing": b"",
    "half": b"GET http://a/ HT",
    "old": b"GET /model/v1\r\n\r\n",
    "two lengths": b"POST /model/v1 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "unequal lengths": b"POST /model/v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "folded": b"GET /model/v1 HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n",
    "bare line feed": b"GET /model/v1 HTTP/1.1\r\nA: b\nAuthorization: x\r\n\r\n",
    "huge": b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 200_000,
    "negative": b"POST /model/v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_ends_its_own_connection_alone(tmp_path: Path, name: str) -> None:
    with proxy(tmp_path, Rules(routes={"model": Route("http://127.0.0.1:1")})) as (path, seen):
        answer = ask(path, GARBAGE[name])
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 502")) or name == "huge"
        assert ask(path, get("/model/v1")).startswith(b"HTTP/1.1 502")
    assert len(seen) == 2


def test_slow_and_too_many(tmp_path: Path) -> None:
    bounds = Bounds(connections=3, head_seconds=0.3)
    with proxy(tmp_path, Rules(), bounds=bounds) as (path, seen):
        slow = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in slow:
            client.connect(str(path))
            client.sendall(b"GET / HT")
        time.sleep(0.1)
        assert ask(path, b"", end=False) == b""
        time.sleep(0.4)
        assert all(client.recv(4096).startswith(b"HTTP/1.1 408") for client in slow)
        assert ask(path, get("/")).startswith(b"HTTP/1.1 403")
        for client in slow:
            client.close()
    assert [event["status"] for event in seen] == [408, 408, 408, 403]


def test_the_end_closes_what_is_open_and_records_it(tmp_path: Path, upstream: int) -> None:
    client = socket.socket(socket.AF_UNIX)
    with proxy(tmp_path, Rules(allowed=(f"127.0.0.1:{upstream}",))) as (path, seen):
        client.connect(str(path))
        client.sendall(f"CONNECT 127.0.0.1:{upstream} HTTP/1.1\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert oct(path.stat().st_mode)[-3:] == "600"
    assert [event["method"] for event in seen] == ["CONNECT"]
    assert client.recv(10) == b""
    client.close()
    assert not path.exists()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / "egress"
    with egress.serve(path, Rules(), record=lambda _: None):
        assert path.is_socket()
