"""Ports that servers will listen on."""

import socket
from pathlib import Path

import pytest

from factory.errors import MachineError
from factory.system import ports


def test_chosen_ports_differ_and_no_connection_is_given_them() -> None:
    found = ports.free(50)
    assert len(set(found)) == 50
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if ephemeral.exists():
        assert max(found) < int(ephemeral.read_text().split()[0])


def test_a_port_with_a_listener_is_not_free_and_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = ports.free(1)
    with socket.create_server(("127.0.0.1", port)):
        assert not ports.is_free(port)
        monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
        with pytest.raises(MachineError, match="fewer than 1"):
            ports.free(1)
    assert ports.is_free(port)
    assert ports.free(1) == [port]
