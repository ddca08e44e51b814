"""Chooses the ports on loopback on which servers will listen."""

import random
import socket
from contextlib import ExitStack

from factory.errors import MachineError

_HOST = "127.0.0.1"
# Below the ports that systems give to outgoing connections (Linux from 32768, macOS from 49152): no connection takes a
# chosen port before its server has it, or while the server is down.
_PORTS = range(20_000, 32_768)


def free(count: int) -> list[int]:
    """Return different ports on which nothing listens; raises ``MachineError`` if there are too few."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
            if _bound(held.enter_context(socket.socket()), port):
                found.append(port)
            if len(found) == count:
                return found
    raise MachineError(f"fewer than {count} ports between {_PORTS.start} and {_PORTS.stop - 1} are free")


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port."""
    with socket.socket() as probe:
        return _bound(probe, port)


def _bound(probe: socket.socket, port: int) -> bool:
    # A connection that was closed a moment ago does not make the port taken.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((_HOST, port))
    except OSError:
        return False
    return True
