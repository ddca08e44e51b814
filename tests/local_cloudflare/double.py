"""A running loopback Cloudflare in a process of its own, and releases that a host runs behind it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from factory.apps.running import RunMachine
from factory.host.sockets import Sockets, short_folder
from factory.host.supervisor import Supervisor
from factory.system import http
from factory.system.toolchain import readable
from tests.host.place import packed
from tests.servers import TOOL_PATH

RUN_SERVER = Path(__file__).with_name("run_server.py")
ACCOUNT = "0123456789abcdef0123456789abcdef"

HELLO = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"ok" if self.path == "/health" else (os.environ["RELEASE"] + " " + self.path).encode())

    def do_HEAD(self):
        self.answer(b"")

    def do_POST(self):
        if self.path == "/die":
            os._exit(1)
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "X-Hop, keep-alive")
        self.send_header("X-Hop", "must not pass")
        for name in self.headers:
            self.send_header("Seen-" + name, self.headers[name])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Double:
    """A server process on ``state``; ports are free ones unless they are given."""

    def __init__(self, state: Path, *, api_port: int = 0, edge_port: int = 0) -> None:
        self.sockets = short_folder(state / "sockets")
        self._releases: Supervisor | None = None
        options = {"state": str(state), "api_port": api_port, "edge_port": edge_port, "sockets": str(self.sockets)}
        self.state = state
        self._log = state.with_suffix(".log")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(RUN_SERVER), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout
        self.said: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        self.api_port, self.edge_port = self.said.get("api_port", 0), self.said.get("edge_port", 0)
        self._fixed: dict[str, Any] = {}
        self.api = f"http://127.0.0.1:{self.api_port}/client/v4"

    def call(self, method: str, path: str, token: str | None = "local-writer", **arguments: Any) -> http.Response:
        """Send a request to the API port; a path that begins with ``/`` is below ``/client/v4``."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = self.api if path.startswith("/") else f"http://127.0.0.1:{self.api_port}/"
        return _send(method, base + path, headers=headers, **arguments)

    def result(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the ``result`` of a call that must succeed."""
        answer = self.call(method, path, **arguments)
        assert answer.status < 300, answer.text
        return answer.json()["result"]

    def visit(self, host: str, path: str = "/", method: str = "GET", **arguments: Any) -> http.Response:
        """Send a request to the edge as a browser that asked for ``host``."""
        headers = {"Host": host} | arguments.pop("headers", {})
        return _send(method, f"http://127.0.0.1:{self.edge_port}{path}", headers=headers, **arguments)

    def release(
        self, name: str, main: str = HELLO, *, environment: str = "production", migrate: tuple[str, ...] = ()
    ) -> None:
        """Run a release, as a host does, in this process; with a migration, it has a state."""
        with tempfile.TemporaryDirectory() as folder:
            content = packed(Path(folder), main, listen="port", processes=128, state=bool(migrate), migrate=migrate)
            self.take(name, content, environment=environment)

    def take(self, name: str, archive: bytes, *, environment: str) -> None:
        """Run a release from its archive."""
        supervisor = self._releases or Supervisor(
            self.state.with_suffix(".releases"), RunMachine(TOOL_PATH, readable())
        )
        self._releases = supervisor
        supervisor.keep(name, archive)
        sockets = Sockets(self.sockets / environment)
        sockets.publish(name, supervisor.socket(name), lambda: supervisor.running(name) is not None)

    def serve_host(self, zone: str, service: str) -> dict[str, str]:
        """Make zone, tunnel, configuration and a proxied ``www`` record; return their ids."""
        zone_id = self.result("POST", "/zones", json={"name": zone, "account": {"id": ACCOUNT}})["id"]
        remote = {"name": zone, "config_src": "cloudflare"}
        tunnel = self.result("POST", f"/accounts/{ACCOUNT}/cfd_tunnel", json=remote)["id"]
        ids = {"zone": zone_id, "tunnel": tunnel}
        self.configure(tunnel, f"www.{zone}", service)
        record = {"type": "CNAME", "name": "www", "content": f"{tunnel}.cfargotunnel.com", "proxied": True}
        ids["record"] = self.result("POST", f"/zones/{zone_id}/dns_records", json=record)["id"]
        return ids

    def configure(self, tunnel: str, hostname: str, service: str) -> None:
        """Put a tunnel's configuration."""
        ingress = [{"hostname": hostname, "service": service}, {"service": "http_status:404"}]
        path = f"/accounts/{ACCOUNT}/cfd_tunnel/{tunnel}/configurations"
        self.result("PUT", path, json={"config": {"ingress": ingress}})

    def fixed(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned the first time."""
        if key not in self._fixed:
            self._fixed[key] = make()
        return self._fixed[key]

    def log(self) -> str:
        """Return what the server wrote to standard error."""
        return self._log.read_text()

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self._reap()

    def close(self) -> None:
        """End the server as the CLI does, and the releases."""
        if self._releases:
            self._releases.close()
        if self.process.poll() is None:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait(timeout=30)
        self._reap()

    def _reap(self) -> None:
        self.process.wait(timeout=30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


def _send(method: str, url: str, **arguments: Any) -> http.Response:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, url, timeout=30, allow_redirects=False, **arguments)
        return http.Response(answer.status_code, answer.headers, answer.content)
