"""The relay carries every byte of many connections, and takes one thread for all of them."""

import hashlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from factory.sandbox import relay
from factory.system import ports
from tests.servers import PATIENCE, wait_for

# Says how many bytes it got, and their digest, once the client has said everything; then sends as many.
ECHO = """
import hashlib, socketserver, sys
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        digest, size = hashlib.sha256(), 0
        while data := self.request.recv(65536):
            digest.update(data)
            size += len(data)
        self.request.sendall(digest.hexdigest().encode() + b"x" * size)
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 1024
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SILENT = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1)
time.sleep(600)
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator["Running"]:
    made = Running(tmp_path)
    yield made
    made.end()


class Running:
    """A relay of a program that listens on a port."""

    def __init__(self, folder: Path) -> None:
        self.socket, self.port = folder / "app.sock", ports.free(1)[0]
        self._ended = ExitStack()

    def start(self, code: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, str(self.port)]
        argv = [sys.executable, "-ISE", relay.__file__, "in", str(self.port), str(self.socket), "--", *command]
        process = subprocess.Popen(argv)
        self._ended.callback(process.wait, PATIENCE)
        self._ended.callback(process.terminate)
        wait_for(self.socket.exists)
        return process

    def listens(self) -> bool:
        with closing(socket.socket()) as made:
            return made.connect_ex(("127.0.0.1", self.port)) == 0

    def connected(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE)
        made.connect(str(self.socket))
        return made

    def end(self) -> None:
        self._ended.close()


def told(connection: socket.socket) -> bytes:
    found = bytearray()
    while data := connection.recv(65536):
        found += data
    return bytes(found)


def test_every_byte_of_many_connections_arrives_by_one_thread(running: Running) -> None:
    process = running.start(ECHO)
    wait_for(running.listens)
    with ExitStack() as held:
        many = [held.enter_context(closing(running.connected())) for _ in range(100)]
        for number, connection in enumerate(many):
            connection.sendall(b"%d" % number)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Threads:\t2" in status, "one waits for the command, and one relays"
        for connection in reversed(many):
            connection.shutdown(socket.SHUT_WR)
        for number, connection in enumerate(many):
            said = b"%d" % number
            assert told(connection) == hashlib.sha256(said).hexdigest().encode() + b"x" * len(said)


def test_who_reads_slowly_gets_all_and_holds_up_nobody(running: Running) -> None:
    running.start(ECHO)
    wait_for(running.listens)
    large = bytes(range(256)) * 60_000
    with closing(running.connected()) as slow, closing(running.connected()) as other:

        def send() -> None:
            slow.sendall(large)
            slow.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        sender.join(PATIENCE)
        other.sendall(b"hello")
        other.shutdown(socket.SHUT_WR)
        assert told(other).startswith(hashlib.sha256(b"hello").hexdigest().encode())
        assert told(slow) == hashlib.sha256(large).hexdigest().encode() + b"x" * len(large)


def test_what_nobody_accepts_holds_up_nobody_and_ends_with_its_client(running: Running) -> None:
    running.start(SILENT)
    wait_for(running.listens)
    with ExitStack() as held:
        waiting = [held.enter_context(closing(running.connected())) for _ in range(20)]
        for connection in waiting:
            connection.sendall(b"is anybody there?")
    with closing(running.connected()) as last:
        last.sendall(b"and now?")


def test_a_command_that_does_not_listen_ends_the_connection(running: Running) -> None:
    running.start("import time; time.sleep(600)")
    for _ in range(3):
        with closing(running.connected()) as connection:
            assert told(connection) == b""
