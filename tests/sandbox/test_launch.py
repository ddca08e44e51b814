"""The launch door: what a process behind it can reach, by a process that tries."""

import errno
import json
import os
import pty
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factory.errors import InvalidInput, MachineError, SandboxUnavailable
from factory.sandbox import egress, launch
from factory.sandbox.launch import Launch, Level
from factory.system import ports, process
from tests.servers import TOOL_ENV, TOOL_PATH, wait_for

BWRAP = launch.probe(TOOL_PATH) is not None
needs_bwrap = pytest.mark.skipif(not BWRAP, reason="bubblewrap does not work here")

TRY = """
import json, os, pathlib, socket
def attempt(what):
    try:
        what()
        return True
    except OSError:
        return False
work, secret = pathlib.Path("."), pathlib.Path(os.environ["SECRET"])
attempt(lambda: (secret.parent / "y").write_text("x"))
print(json.dumps({
    "write work": attempt(lambda: (work / "new").write_text("x")),
    "write frozen": attempt(lambda: (work / "policies" / "x").write_text("x")),
    "read secret": attempt(secret.read_text),

    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 1)),
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "environment": sorted(os.environ),
}))
"""


def attempt(tmp_path: Path, port: int, *, network: bool = False) -> Any:
    work = tmp_path / "work"
    (work / "policies").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    prepared = launch.prepare(
        Launch(
            argv=("python3", "-c", TRY),
            cwd=work,
            env={"PATH": TOOL_PATH, "SECRET": str(tmp_path / "secret"), "PORT": str(port)},
            writable=(work,),
            readable=(Path(sys.prefix), Path(sys.base_prefix)),
            frozen=(work / "policies",),
            network=network,
        )
    )
    done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env)
    return json.loads(done.text)


@needs_bwrap
def test_behind_bubblewrap(tmp_path: Path, gitlab_server: Any) -> None:
    port = int(gitlab_server.url.rsplit(":", 1)[1])
    seen = attempt(tmp_path, port)
    assert {key: value for key, value in seen.items() if key not in {"processes", "environment"}} == {
        "write work": True,
        "write frozen": False,
        "read secret": False,
        "connect": False,
    }
    assert not (tmp_path / "y").exists()
    assert seen["processes"] <= 3
    assert set(seen["environment"]) <= {"PATH", "SECRET", "PORT", "PWD", "LC_CTYPE", "SHLVL", "_", "OLDPWD"}


@needs_bwrap
def test_what_is_read_only_cannot_be_remounted(tmp_path: Path) -> None:
    script = "mount -o remount,rw,bind /usr; touch /usr/planted && echo planted; grep CapEff /proc/self/status"
    prepared = launch.prepare(Launch(("sh", "-c", script), tmp_path, {"PATH": TOOL_PATH}, writable=(tmp_path,)))
    done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, check=False)
    assert "planted" not in done.text
    assert "0000000000000000" in done.text


@needs_bwrap
def test_network_is_there_only_when_granted(tmp_path: Path, gitlab_server: Any) -> None:
    assert attempt(tmp_path, int(gitlab_server.url.rsplit(":", 1)[1]), network=True)["connect"]


def test_without_bubblewrap_the_level_is_host_and_bwrap_is_refused(tmp_path: Path) -> None:
    env = {"PATH": "/nonexistent"}
    assert launch.prepare(Launch(("true",), tmp_path, env)).level is Level.HOST
    with pytest.raises(SandboxUnavailable):
        launch.prepare(Launch(("true",), tmp_path, env, required=Level.BWRAP))


def test_a_process_dies_with_the_one_that_started_it(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from factory.system import process
group = process.start(["sleep", "60"], env={{"PATH": {TOOL_PATH!r}}})
open({str(marker)!r}, "w").write(str(group.popen.pid))
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], env=TOOL_ENV)

    child = int(wait_for(lambda: marker.exists() and marker.read_text()))
    assert process.started_at(child)
    parent.kill()
    parent.wait()
    wait_for(lambda: process.started_at(child) is None)


def behind(tmp_path: Path, *argv: str, **more: Any) -> process.CompletedProcess:
    prepared = launch.prepare(Launch(argv, tmp_path, {"PATH": TOOL_PATH}, writable=(tmp_path,), **more))
    done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, check=False)
    launch.put_back(prepared)
    return done


@needs_bwrap
def test_environment_is_what_was_given_and_the_folder(tmp_path: Path) -> None:
    done = behind(tmp_path, "env")
    assert sorted(done.text.split()) == sorted([f"PATH={TOOL_PATH}", f"PWD={tmp_path}"])


@needs_bwrap
def test_a_frozen_link_shows_nothing_that_the_launch_may_not_read(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_text("s")
    (work / "AGENTS.md").symlink_to(tmp_path / "secret")
    prepared = launch.prepare(
        Launch(("cat", "AGENTS.md"), work, {"PATH": TOOL_PATH}, writable=(work,), frozen=(work / "AGENTS.md",))
    )
    done = process.run(prepared.argv, cwd=work, env=prepared.env, check=False)
    assert done.text == ""
    launch.put_back(prepared)
    launch.put_back(prepared)
    assert (work / "AGENTS.md").readlink() == tmp_path / "secret"


@pytest.mark.parametrize("path", [TOOL_PATH, "/nonexistent"], ids=["bwrap", "host"])
def test_the_proxy_is_reached_on_loopback_and_the_command_keeps_code_and_streams(tmp_path: Path, path: str) -> None:
    if path == TOOL_PATH and not BWRAP:
        pytest.skip("bubblewrap does not work here")
    port, seen = launch.relay_port(path), list[Any]()
    script = """
import socket, sys
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
there.sendall(b"CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\n")
print(there.makefile().read().splitlines()[-1], sys.stdin.read())
sys.exit(7)
"""
    with egress.serve(tmp_path / "e" / "proxy", egress.Rules(), record=seen.append):
        prepared = launch.prepare(
            Launch(
                (sys.executable, "-c", script, str(port)),
                tmp_path,
                {"PATH": path},
                readable=(tmp_path, Path(sys.prefix), Path(sys.base_prefix)),
                egress=tmp_path / "e" / "proxy",
                egress_port=port,
            )
        )
        done = process.run(prepared.argv, cwd=tmp_path, env=prepared.env, stdin=b"given", check=False)
    assert (done.returncode, done.text) == (7, "egress: evil.example:443 is not allowed given\n"), done.errors
    assert [event["host"] for event in seen] == ["evil.example"]


def test_the_relay_ends_by_the_signal_that_ended_the_command_and_passes_signals_on(tmp_path: Path) -> None:
    relay = [sys.executable, "-I", "-S", "-E", str(Path(launch.__file__).with_name("relay.py"))]
    port = launch.relay_port("/nonexistent")
    argv = [*relay, "out", str(port), "/nonexistent/s", "--", "sh", "-c"]
    assert process.run([*argv, "kill -9 $$"], env=TOOL_ENV, check=False).returncode == -9
    assert process.run([*argv, "exit 3"], env=TOOL_ENV, check=False).returncode == 3
    ready = tmp_path / "ready"
    script = f"trap 'exit 4' TERM; touch {ready}; while :; do sleep 0.05; done"
    running = subprocess.Popen([*argv, script], env=TOOL_ENV)
    wait_for(ready.exists)
    running.terminate()
    assert running.wait(10) == 4
    assert (
        process.run([*relay, "out", str(port), "/x", "--", "no-such-program"], env=TOOL_ENV, check=False).returncode
        == 127
    )


def test_a_launch_has_the_network_or_a_proxy(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        launch.prepare(Launch(("true",), tmp_path, {"PATH": TOOL_PATH}, network=True, egress=tmp_path / "s"))


@needs_bwrap
def test_a_terminal_is_kept_and_takes_no_planted_input(tmp_path: Path) -> None:
    script = """
import fcntl, os, sys
print("session kept", os.getsid(0) == 0)
try:
    fcntl.ioctl(0, 0x5412, b"x")
    print("typed")
except OSError as error:
    print("refused", error.errno)
print("terminal", os.isatty(0))
"""
    prepared = launch.prepare(
        Launch(
            (sys.executable, "-c", script),
            tmp_path,
            {"PATH": TOOL_PATH},
            readable=(tmp_path, Path(sys.prefix), Path(sys.base_prefix)),
            terminal=True,
        )
    )
    outer, inner = pty.openpty()
    done = subprocess.run(
        prepared.argv, stdin=inner, env=dict(prepared.env), capture_output=True, text=True, check=True
    )
    os.close(outer)
    os.close(inner)
    assert done.stdout == f"session kept True\nrefused {errno.EPERM}\nterminal True\n"


@needs_bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_is_contained_as_well() -> None:
    """Prepares as uid 65534 in a process of its own: no cgroups and no mounts there, so limits take other means."""
    script = """
import json, os, sys
os.setgid(65534); os.setgroups([]); os.setuid(65534)
from pathlib import Path
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import process
work = Path("/tmp")
prepared = launch.prepare(launch.Launch(
    ("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; echo survived; unshare -U true || echo held"),
    work, {"PATH": "/usr/bin:/bin"}, limits=Limits(memory_bytes=10**9, processes=8), required=launch.Level.BWRAP))
done = process.run(prepared.argv, env=prepared.env, check=False)
print(json.dumps({"means": dict(prepared.limits), "out": done.text, "errors": done.errors}))
"""
    argv = [sys.executable, "-c", "import factory.sandbox.launch, factory.sandbox.limits\n" + script]
    done = subprocess.run(argv, env=TOOL_ENV, capture_output=True, text=True, check=True, cwd="/")
    seen = json.loads(done.stdout)
    assert seen["means"] == {"processes": "rlimit of the user namespace", "memory_bytes": "watched"}
    assert "survived" not in seen["out"]


@needs_bwrap
def test_a_launch_cannot_keep_itself_alive_by_what_it_inherits(tmp_path: Path) -> None:
    """Opens every inherited pipe for writing, among them the lifeline, so that its reader would never see the end."""
    heartbeat = tmp_path / "heartbeat"
    hostile = f"""
import os, pathlib, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
held = []
for name in os.listdir("/proc/self/fd"):
    try:
        held.append(os.open(f"/proc/self/fd/{{name}}", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        pass
while True:
    pathlib.Path({str(heartbeat)!r}).write_text(str(time.time()))
    time.sleep(0.02)
"""
    script = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from factory.sandbox import launch
from factory.system import process
place = Path({str(tmp_path)!r})
prepared = launch.prepare(launch.Launch(
    ("python3", "-c", {hostile!r}), place, {{"PATH": {TOOL_PATH!r}}}, writable=(place,),
    readable=(Path(sys.prefix), Path(sys.base_prefix)), required=launch.Level.BWRAP))
group = process.start(prepared.argv, env=prepared.env, cwd=place)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], env=TOOL_ENV)
    wait_for(heartbeat.exists)
    parent.kill()
    parent.wait()

    def still() -> bool:
        before = heartbeat.read_text()
        time.sleep(0.15)
        return heartbeat.read_text() == before

    wait_for(still, seconds=5)


@needs_bwrap
def test_links_to_links_show_the_file_and_all_are_put_back(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("rules")
    (tmp_path / "GEMINI.md").symlink_to("AGENTS.md")
    (tmp_path / "CLAUDE.md").symlink_to("GEMINI.md")
    names = ("GEMINI.md", "CLAUDE.md", "loop")
    (tmp_path / "loop").symlink_to("loop")
    done = behind(tmp_path, "sh", "-c", "cat GEMINI.md CLAUDE.md; cat loop", frozen=tuple(tmp_path / n for n in names))
    assert done.text == "rulesrules"
    assert [str((tmp_path / name).readlink()) for name in names] == ["AGENTS.md", "GEMINI.md", "loop"]


@needs_bwrap
def test_a_launch_that_cannot_freeze_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(MachineError):
        behind(tmp_path, "true", frozen=(tmp_path / "link", tmp_path / ("x" * 300)))
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
    assert (tmp_path / "link").is_symlink()


@needs_bwrap
def test_a_file_where_a_frozen_path_needs_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file")
    done = behind(
        tmp_path,
        "sh",
        "-c",
        "rm docs; mv docs other; mkdir docs; echo x > docs/rules",
        frozen=(tmp_path / "docs/rules",),
    )
    assert done.returncode != 0
    assert (tmp_path / "docs").is_file()


def test_a_relay_that_had_no_free_files_relays_again(tmp_path: Path) -> None:
    relay = [sys.executable, "-I", "-S", "-E", str(Path(launch.__file__).with_name("relay.py"))]
    (port,), place = ports.free(1), tmp_path / "s"
    server = f"""
import resource, socketserver
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
socketserver.ThreadingTCPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
    argv = ["sh", "-c", 'ulimit -S -n 16; exec "$@"', "sh", *relay, "in", str(port), str(place), "--", sys.executable]
    group = process.start([*argv, "-c", server], env=TOOL_ENV)
    try:
        wait_for(lambda: answered(place))
        held = []
        for _ in range(40):
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].connect(str(place))
        for one in held:
            one.close()
        wait_for(lambda: answered(place))
    finally:
        group.kill()


def answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as there:
        there.settimeout(2)
        try:
            there.connect(str(path))
            there.sendall(b"hello\n")
            return there.recv(100) == b"hello\n"
        except OSError:
            return False
