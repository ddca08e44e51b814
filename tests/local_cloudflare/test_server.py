"""The server as a process: it survives kill -9, holds its ports and its state, and refuses real tokens."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from factory.apps.running import RunMachine
from factory.errors import Refused
from factory.host.supervisor import Supervisor
from factory.local_cloudflare.server import create_app
from tests.local_cloudflare.double import Double, zipapp


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def release_pid(server: Double) -> int:
    """Return the process of the release, as this machine sees it; in its sandbox it has another number."""
    assert server.visit("www.hello.test").headers["Seen-Environment"]
    folder = str(server.state / "releases" / "unpacked" / "hello-aaaaaaa")
    found = subprocess.run(["pgrep", "-f", f"^{folder}"], capture_output=True, text=True, check=False).stdout
    running = [int(line) for line in found.split()]
    assert len(running) == 1, running
    return running[0]


PID_APP = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Seen-Environment", ",".join(sorted(os.environ)))
        self.end_headers()

    def log_message(self, *_):
        pass

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def wait_for(pid: int) -> None:
    for _ in range(200):
        if gone(pid):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs")


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    first = Double(tmp_path / "state")
    assert first.release("hello-aaaaaaa", PID_APP).status == 201
    ids = first.serve_host("hello.test", "http://hello-aaaaaaa")
    pid = release_pid(first)
    first.kill()
    wait_for(pid)

    second = Double(tmp_path / "state", api_port=first.api_port, edge_port=first.edge_port)
    try:
        assert second.api_port == first.api_port
        assert second.result("GET", f"/zones/{ids['zone']}/dns_records/{ids['record']}")["proxied"] is True
        listed = second.result("GET", "releases")
        assert [(each["name"], each["state"]) for each in listed] == [("hello-aaaaaaa", "stopped")]
        assert release_pid(second) != pid, "the edge starts a release again on demand"
        assert second.result("GET", "releases")[0]["state"] == "running"
        (tmp_path / "state" / "releases" / "hello-aaaaaaa.archive").write_bytes(zipapp("other = True"))
        os.kill(release_pid(second), signal.SIGKILL)
        assert "was changed (expected sha256" in second.visit("www.hello.test").text
    finally:
        second.close()


def test_releases_end_with_the_server_and_see_a_minimal_environment(tmp_path: Path) -> None:
    server = Double(tmp_path / "state")
    server.release("hello-aaaaaaa", PID_APP)
    server.serve_host("hello.test", "http://hello-aaaaaaa")
    names = set(server.visit("www.hello.test").headers["Seen-Environment"].split(","))
    expected = {"HOME", "HOST", "LANG", "PATH", "PORT", "RELEASE"}
    expected |= {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "VIRTUAL_ENV"}
    assert names - {"LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"} == expected
    pid = release_pid(server)
    server.close()
    assert gone(pid)
    assert server.process.returncode == 0


@pytest.mark.parametrize("which", ["api_port", "edge_port"])
def test_a_taken_port_is_named(tmp_path: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Double(tmp_path / "state", **{which: port})
        server.close()
    assert server.said == {"error": "PortInUse", "message": f"port {port} on 127.0.0.1 is in use"}
    assert server.process.returncode == 7


def test_a_state_has_one_server(own: Double, tmp_path: Path) -> None:
    second = Double(tmp_path / "state")
    second.close()
    assert second.said["error"] == "Conflict"
    assert own.result("GET", "/zones") == []


@pytest.mark.parametrize("token", ["A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8-_s9", "secret"])
def test_a_foreign_token_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    with pytest.raises(Refused) as refused:
        create_app(tmp_path / "state", {token: "write"}, host=lambda folder: Supervisor(folder, RunMachine("/bin", ())))
    assert token not in str(refused.value) + refused.value.hint
    assert list(tmp_path.iterdir()) == []
