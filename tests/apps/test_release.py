"""Apps in the layouts that people have: built, packed, unpacked and started, each behind the launch door."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from factory.apps import archive, build, running, unix_http
from factory.apps.archive import CODE
from factory.apps.build import BuildMachine
from factory.apps.running import RunMachine, RunningRelease
from factory.errors import GateFailed, InvalidInput, ToolFailed
from factory.operations.repository import app_source
from factory.sandbox import launch
from factory.system import process
from factory.system.toolchain import readable
from tests.apps import layouts
from tests.servers import ROOT, TOOL_ENV, TOOL_PATH

READABLE = (ROOT / ".tools", *readable())
MACHINE = BuildMachine(TOOL_ENV, READABLE)
Start = Callable[..., RunningRelease]


def written(files: Mapping[str, str], work: Path) -> Path:
    for name, text in files.items():
        (work / CODE / name).parent.mkdir(parents=True, exist_ok=True)
        (work / CODE / name).write_text(text)
    return work


def packed(files: Mapping[str, str], work: Path) -> bytes:
    app = app_source.read(written(files, work) / CODE, "shop")
    return build.build(app, work, MACHINE, say=lambda _: None)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a release of an app's files; it ends with the test."""
    started: list[RunningRelease] = []

    def run(files: Mapping[str, str], **variables: str) -> RunningRelease:
        folder = tmp_path / f"release{len(started)}"
        manifest = running.unpack(packed(files, tmp_path / f"work{len(started)}"), folder)
        place = tmp_path / f"run{len(started)}"
        made = running.start(
            folder,
            manifest,
            RunMachine(TOOL_PATH, READABLE),
            name="shop-1",
            place=place,
            log=tmp_path / "logs" / place.name,
            variables=variables,
            state=tmp_path / "state",
        )
        started.append(made)
        return made

    yield run
    for made in started:
        made.stop()


def answer(release: RunningRelease, path: str = "/") -> str:
    running.await_health(release, seconds=20)
    return unix_http.get(release.socket, path, seconds=5)[1].decode()


def test_a_python_program_on_a_port(start: Start) -> None:
    assert answer(start(layouts.PACKAGED)) == "counted"


def test_a_compiled_program_on_a_socket(start: Start) -> None:
    assert answer(start(layouts.COMPILED)) == "ok"


def test_a_static_site_with_a_build_step(start: Start) -> None:
    release = start(layouts.SITE)
    assert answer(release).startswith("<h1>built</h1>")
    assert answer(release, "/about") == "about us"
    assert unix_http.get(release.socket, "/../../work/app/make.py", seconds=5)[0] == 404


@pytest.mark.long
def test_a_flask_app_of_locked_wheels(start: Start, tmp_path: Path) -> None:
    env = {**TOOL_ENV, "HOME": str(tmp_path), "UV_SYSTEM_CERTS": "1"}
    argv = ["uv", "pip", "compile", "-q", "--generate-hashes", "--python", process.python(), "-"]
    lock = process.run(argv, env=env, cwd=tmp_path, stdin=b"flask\ngunicorn\n", timeout=120).text
    release = start({**layouts.FLASK, "requirements.lock": lock, "app.yml": "health: /healthz\n"})
    running.await_health(release, seconds=20)
    assert json.loads(unix_http.get(release.socket, "/healthz", seconds=5)[1]) == {"release": "shop-1"}
    assert not (tmp_path / "release0/app/tests").exists()


@pytest.mark.long
def test_a_typescript_service_of_locked_packages(start: Start, tmp_path: Path) -> None:
    written(layouts.NODE, tmp_path / "lock")
    env = {**TOOL_ENV, "HOME": str(tmp_path)}
    argv = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    process.run(argv, env=env, cwd=tmp_path / "lock" / CODE, timeout=120)
    lock = (tmp_path / "lock" / CODE / "package-lock.json").read_text()
    release = start({**layouts.NODE, "package-lock.json": lock})
    assert answer(release) == "1m"
    modules = {path.name for path in (tmp_path / "release0/app/node_modules").iterdir()}
    assert modules == {"ms"}, "what only the build needs is not in the release"


@pytest.mark.parametrize("files", [layouts.PACKAGED, layouts.COMPILED, layouts.SITE])
def test_two_builds_of_the_same_files_are_the_same_bytes(tmp_path: Path, files: Mapping[str, str]) -> None:
    assert packed(files, tmp_path / "one") == packed(files, tmp_path / "two")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("import urllib.request as u\nu.urlopen('http://127.0.0.1:{port}')\n", "URLError"),
        ("open({secret!r})\n", "FileNotFoundError"),
        ("open({beside!r}, 'w').write('x')\nopen({secret!r})", "FileNotFoundError"),
        ("raise SystemExit('no such thing')\n", "no such thing"),
    ],
)
@pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
def test_a_build_reaches_no_network_and_no_files_and_its_failure_is_told(tmp_path: Path, make: str, why: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        text = make.format(
            port=listener.getsockname()[1], secret=str(tmp_path / "secret"), beside=str(tmp_path / "beside")
        )
        with pytest.raises(GateFailed, match=why):
            packed({**layouts.SITE, "make.py": text}, tmp_path / "work")
    assert not (tmp_path / "beside").exists()


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("kind: command\nrun: [x]\nbuild: {files: [gone]}\n", "shop has no gone"),
        ("kind: command\nrun: [x]\nbuild: {files: [a]}\nruns: 1\n", r"shop/app\.yml:4: runs"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path: Path, app: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        packed({"app.yml": app, "a": ""}, tmp_path)


def test_packages_from_elsewhere_than_a_registry_are_refused(tmp_path: Path) -> None:
    lock = {"packages": {"": {}, "node_modules/a": {"resolved": "git+ssh://git@example.com/a.git#1", "version": "1"}}}
    files = {**layouts.NODE, "package-lock.json": json.dumps(lock)}
    with pytest.raises(InvalidInput, match="node_modules/a has no digest of a registry"):
        packed(files, tmp_path)


NOISY = (
    "import http.server, os, sys\n\n\nclass Handler(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n"
    "        self.send_response(500)\n        self.end_headers()\n        self.wfile.write(b'no database')\n"
    "    def log_message(self, *_):\n        pass\n\n\n"
    "print('starting up', flush=True)\n"
    "if 'END' in os.environ:\n    sys.exit('cannot start: no database')\n"
    "http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), Handler).serve_forever()\n"
)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, r"answered 500 to GET /: no database within 2 s\n  starting up"),
        ({"END": "1"}, r"ended with 1 before it answered\n  starting up\n  cannot start: no database"),
    ],
)
def test_a_failed_health_check_says_why(start: Start, variables: dict[str, str], why: str) -> None:
    release = start({"__main__.py": NOISY}, **variables)
    with pytest.raises(ToolFailed, match=why):
        running.await_health(release, seconds=2)


def test_a_release_says_what_it_needs_of_the_machine(tmp_path: Path) -> None:
    assert archive.read_manifest(packed(layouts.PACKAGED, tmp_path / "one")).needs == {}
    manifest = archive.read_manifest(packed(layouts.COMPILED, tmp_path / "two"))
    has = running.versions(TOOL_PATH)
    assert manifest.needs == {"machine": has["machine"]}
    assert running.lacking(manifest, has) == []
    assert running.lacking(manifest, {"machine": "riscv64"}) == [f"machine {has['machine']}, not riscv64"]
    wrong = replace(manifest, needs={"python": "2.7"})
    with pytest.raises(ToolFailed, match=r"the release needs python 2\.7, not 3"):
        running.start(
            tmp_path,
            wrong,
            RunMachine(TOOL_PATH, ()),
            name="x",
            place=tmp_path,
            log=tmp_path / "x.log",
            variables={},
            state=tmp_path / "state",
        )


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 no\r\nContent-Length: 900\r\n\r\n"])
def test_who_answers_a_byte_at_a_time_holds_nobody(tmp_path: Path, begins: bytes) -> None:
    place = tmp_path / "s"
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(begins)
                while not ended.wait(0.1):
                    connection.sendall(b"X")

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        if begins.endswith(b"\r\n\r\n"):
            assert unix_http.get(place, "/", seconds=1)[0] == 503
        else:
            with pytest.raises(TimeoutError):
                unix_http.get(place, "/", seconds=1)
        assert time.monotonic() - started < 60, "the server would go on for ever"
        ended.set()
        thread.join(60)
