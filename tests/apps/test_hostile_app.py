"""Hostile apps: what their build and their release try is held, and what they use is bounded."""

import io
import json
import socket
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from factory.apps import build, unix_http
from factory.apps.archive import CODE
from factory.apps.build import BuildMachine
from factory.apps.running import RunMachine
from factory.errors import FactoryError
from factory.host.supervisor import Supervisor
from factory.operations.repository import app_source
from factory.sandbox import launch
from factory.system import files
from factory.system.toolchain import readable
from tests.servers import ROOT, TOOL_ENV, TOOL_PATH, wait_for

pytestmark = pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
READABLE = (ROOT / ".tools", *readable())
NAME, OTHER = "shop-" + "1" * 40, "blog-" + "2" * 40
# What each act must end with: the name of an exception.
NOTHING = {"FileNotFoundError", "PermissionError", "OSError"}
ACTS: Mapping[str, set[str]] = {
    "connect to a port of the machine": {"ConnectionRefusedError"},
    "connect to the internet": {"OSError", "ConnectionRefusedError", "gaierror"},
    "read a secret of the machine": NOTHING,
    "read another app": NOTHING,
    "write beside its own folder": NOTHING | {"done"},  # in a /tmp of its own: nothing is there afterwards
    "write over the machine's programs": NOTHING,
    "mount a file system": {"CalledProcessError", "FileNotFoundError", "PermissionError"},
    "kill what is not its own": {"ProcessLookupError", "PermissionError"},
}
HOSTILE = """
import json, os, socket, subprocess

def tried(act):
    try:
        act()
    except BaseException as error:
        return type(error).__name__
    return "done"

def found(trap):
    return {
        "connect to a port of the machine": tried(lambda: socket.create_connection(("127.0.0.1", trap["port"]), 2)),
        "connect to the internet": tried(lambda: socket.create_connection(("192.0.2.1", 443), 2)),
        "read a secret of the machine": tried(lambda: open(trap["secret"])),
        "read another app": tried(lambda: os.listdir(trap["other"])),
        "write beside its own folder": tried(lambda: open(trap["secret"] + "2", "w")),
        "write over the machine's programs": tried(lambda: open("/usr/bin/git", "a")),
        "mount a file system": tried(lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True)),
        "kill what is not its own": tried(lambda: os.kill(trap["pid"], 0)),
    }
"""
BUILD = (
    HOSTILE
    + """
os.makedirs("out", exist_ok=True)
with open("out/found.json", "w") as file:
    json.dump(found(json.load(open("trap.json"))), file)
"""
)
RELEASE = (
    HOSTILE
    + """
import http.server, signal, socketserver

def fork():
    made = []
    try:
        for _ in range(300):
            made.append(os.fork() or signal.pause())
    finally:
        for pid in made:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

def fill(count, size):
    for number in range(count):
        with open(os.environ["HOME"] + "/" + str(number), "wb") as file:
            for _ in range(size):
                file.write(bytes(2**20))

def nest():
    os.chdir(os.environ["HOME"])
    for _ in range(300):
        os.mkdir("x")
        os.chdir("x")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        acts = {"/fork": fork, "/files": lambda: fill(40, 1), "/file": lambda: fill(1, 40), "/nest": nest,
                "/memory": lambda: bytearray(b"x") * 2**31}
        said = tried(acts[self.path]) if self.path in acts else json.dumps(found(json.load(open("trap.json"))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
    def log_message(self, *words):
        pass

socketserver.UnixStreamServer(os.environ["SOCKET"], Handler).serve_forever()
"""
)
APP = """\
kind: command
build: {command: [python3, build.py], files: [out, serve.py, trap.json]}
run: [python3, serve.py]
listen: socket
limits: {memory_mb: 128, processes: 32, disk_mb: 20}
"""


class Machine:
    """A machine with a secret, a port that listens, another app, and the hostile app that was built on it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.secret = folder / "secret"
        self.secret.write_text("secret")
        self.supervisor = Supervisor(folder / "releases", RunMachine(TOOL_PATH, READABLE), grace_seconds=0.2)
        trap = {
            "port": port,
            "secret": str(self.secret),
            "other": str(folder / "releases/unpacked" / OTHER),
            # PID 1 of the sandbox is its own; the number of the tests' process is nobody's there.
            "pid": 2**22 - 1,
        }
        self.archive = self._built(folder / "work", trap)
        self.supervisor.keep(OTHER, self.archive)
        self.supervisor.keep(NAME, self.archive)

    def _built(self, work: Path, trap: Mapping[str, Any]) -> bytes:
        code = files.private_folder(work / CODE)
        for name, text in {
            "app.yml": APP,
            "build.py": BUILD,
            "serve.py": RELEASE,
            "trap.json": json.dumps(trap),
        }.items():
            (code / name).write_text(text)
        app = app_source.read(code, "shop")
        return build.build(app, work, BuildMachine(TOOL_ENV, READABLE), say=lambda _: None)

    def of_build(self) -> dict[str, str]:
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as packed:
            (name,) = [name for name in packed.getnames() if name.endswith("out/found.json")]
            read = packed.extractfile(name)
            assert read
            found: dict[str, str] = json.load(read)
            return found

    def ask(self, path: str = "/") -> str:
        return unix_http.get(self.supervisor.socket(NAME), path, seconds=30)[1].decode()

    def answers(self) -> bool:
        try:
            return bool(self.ask())
        except (OSError, FactoryError):
            return False


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Machine(tmp_path_factory.mktemp("hostile"), listener.getsockname()[1])
        yield made
        made.supervisor.close()


@pytest.mark.parametrize("act", ACTS)
def test_build(machine: Machine, act: str) -> None:
    assert machine.of_build()[act] in ACTS[act]
    assert not machine.secret.with_name("secret2").exists()


@pytest.mark.parametrize("act", ACTS)
def test_release(machine: Machine, act: str) -> None:
    assert json.loads(machine.ask())[act] in ACTS[act]
    assert not machine.secret.with_name("secret2").exists()


@pytest.mark.parametrize("what", ["fork", "memory", "file", "files", "nest"])
def test_bounds(machine: Machine, what: str) -> None:
    """What it takes is refused, or it is ended; the other app goes on."""
    other = machine.supervisor.running(OTHER)
    assert other
    try:
        said = machine.ask(f"/{what}")
    except (OSError, FactoryError):
        said = "ended"
    if what == "fork":
        assert said == "BlockingIOError"
    elif what in {"files", "nest"}:
        assert list(wait_for(machine.supervisor.stop_overfull)) == [NAME]
        assert machine.supervisor.running(NAME) is None
    else:
        assert said in {"", "ended", "MemoryError", "OSError"}
    assert unix_http.get(other, "/", seconds=30)[0] == 200
    wait_for(machine.answers)
