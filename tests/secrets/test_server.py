"""The lasting local server: raft, a static seal, an audit file; it survives a restart and a kill."""

import base64
import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from factory.errors import MachineError, PortInUse, Refused, Unauthorized
from factory.model.secret import Secret, SecretLocation
from factory.secrets import server, setup
from factory.secrets.openbao import OpenBao
from tests.secrets.servers import BAO
from tests.servers import wait_for

ONE = SecretLocation("one", "plan/one")
VALUE = "planted-lasting-value-3d"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Local]:
    made = server.Local(tmp_path_factory.mktemp("lasting") / "openbao", BAO, {"PATH": "/usr/bin:/bin"})
    server.start(made)
    yield made
    server.stop(made)


@pytest.fixture(scope="module")
def operator(local: server.Local) -> tuple[str, Secret]:
    """Return the AppRole of whoever operates the server, set up as `factory secrets init` does."""
    server.ready(local)
    token = server.root_token(local)
    assert token
    root = OpenBao(local.address, token=token)
    setup.configure(root, ["production"])
    pair = setup.machine(root, setup.OPERATOR)
    server.forget_root(local)
    with pytest.raises(Unauthorized):
        root.lookup()
    return pair


def connection(local: server.Local, operator: tuple[str, Secret]) -> OpenBao:
    made = server.ready(local)
    made.login_approle(*operator)
    return made


def test_it_keeps_what_it_was_told(local: server.Local, operator: tuple[str, Secret]) -> None:
    connection(local, operator).put(ONE, Secret(VALUE))
    address = local.address
    assert server.stop(local) is True
    assert server.stop(local) is False
    assert server.start(local) == address
    assert connection(local, operator).get(ONE).value.reveal() == VALUE
    pid = local.pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: local.pid() is None)
    server.start(local)
    assert connection(local, operator).get(ONE).value.reveal() == VALUE
    again = local.pid()
    server.start(local)
    assert local.pid() == again


def test_nobody_else_can_look_in_and_nothing_is_in_plain_text(
    local: server.Local, operator: tuple[str, Secret]
) -> None:
    connection(local, operator).put(ONE, Secret(VALUE))
    assert stat.S_IMODE(local.folder.stat().st_mode) == 0o700
    for name in ("seal.key", "recovery.key", "server.hcl", "server.json", "audit.log"):
        assert stat.S_IMODE((local.folder / name).stat().st_mode) == 0o600, name
    assert not (local.folder / "root.token").exists()
    for path in local.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert VALUE.encode() not in data, path
            assert operator[1].reveal().encode() not in data, path
    audited = [json.loads(line) for line in (local.folder / "audit.log").read_text().splitlines()]
    assert any(item["request"].get("path") == "factory/data/plan/one" for item in audited)


def test_it_listens_on_loopback_alone(local: server.Local, operator: tuple[str, Secret]) -> None:
    del operator
    text = (local.folder / "server.hcl").read_text()
    assert "0.0.0.0" not in text
    assert local.address.startswith("http://127.0.0.1:")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    made = server.Local(tmp_path / "bao", BAO, {"PATH": "/usr/bin:/bin"})
    made.folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        record = {"api": taken.getsockname()[1], "cluster": taken.getsockname()[1]}
        (made.folder / "server.json").write_text(json.dumps(record))
        with pytest.raises(PortInUse):
            server.start(made)


def test_a_program_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    made = server.Local(tmp_path / "bao", "/bin/false", {"PATH": "/usr/bin:/bin"})
    with pytest.raises(MachineError, match="ended while starting"):
        server.start(made)


def test_the_program_comes_from_the_path_or_the_package(tmp_path: Path) -> None:
    assert server.program("/nonexistent") == BAO
    own = tmp_path / "bao"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o700)
    assert server.program(str(tmp_path)) == str(own)


def test_a_job_can_not_operate(local: server.Local, operator: tuple[str, Secret]) -> None:
    mine = connection(local, operator)
    planner = OpenBao(local.address)
    planner.login_approle(*setup.machine(mine, "factory-plan"))
    with pytest.raises(Refused):
        planner.put(ONE, Secret("other"))


def test_the_recovery_key_makes_a_new_root_token(local: server.Local, operator: tuple[str, Secret]) -> None:
    del operator
    begun = requests.put(f"{local.address}/v1/sys/generate-root/attempt", json={}, timeout=30).json()
    given = {"key": (local.folder / "recovery.key").read_text(), "nonce": begun["nonce"]}
    done = requests.put(f"{local.address}/v1/sys/generate-root/update", json=given, timeout=30).json()
    mixed = base64.b64decode(done["encoded_token"] + "==")
    token = "".join(chr(one ^ other) for one, other in zip(mixed, begun["otp"].encode(), strict=True))
    root = OpenBao(local.address, token=Secret(token))
    assert root.lookup()["policies"] == ["root"]
    root.revoke()
