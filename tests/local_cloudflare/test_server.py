"""The server as a process: it survives kill -9, holds its ports and its state, and refuses real tokens."""

import socket
from pathlib import Path

import pytest

from factory.errors import Refused
from factory.local_cloudflare.server import create_app
from tests.local_cloudflare.double import Double

RELEASE = "hello-aaaaaaaaaaaa"


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    first = Double(tmp_path / "state")
    first.release(RELEASE)
    ids = first.serve_host("hello.test", f"unix:/run/factory/production/{RELEASE}.sock")
    first.kill()
    second = Double(tmp_path / "state", api_port=first.api_port, edge_port=first.edge_port)
    try:
        assert second.api_port == first.api_port
        assert second.result("GET", f"/zones/{ids['zone']}/dns_records/{ids['record']}")["proxied"] is True
        assert second.visit("www.hello.test", "/x").text == f"{RELEASE} /x"
    finally:
        second.close()
        first.close()


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
        create_app(tmp_path / "state", {token: "write"}, sockets=tmp_path / "sockets")
    assert token not in str(refused.value) + refused.value.hint
    assert list(tmp_path.iterdir()) == []
