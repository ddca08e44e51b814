"""A small HTTP server that says what a test tells it to, on a free port: for peers that misbehave."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What a misbehaving server says next: after ``delay`` seconds a status with headers and a JSON body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class Stub:
    """A running server that says what it is told, and what it was asked."""

    url: str
    asked: list[tuple[str, str, float]] = field(default_factory=list)


@contextmanager
def saying(answer: Callable[[str, str, int], Answer]) -> Iterator[Stub]:
    """Serve ``answer(method, path, how many requests came before)`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _say(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            number = len(stub.asked)
            stub.asked.append((self.command, self.path, time.monotonic()))
            said = answer(self.command, self.path, number)
            time.sleep(said.delay)
            data = json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            with suppress(ConnectionError):
                self.end_headers()
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_LIST = _say  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
