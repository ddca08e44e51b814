"""The launch door: what a process behind it can reach, by a process that tries."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory.errors import SandboxUnavailable
from factory.sandbox import launch
from factory.sandbox.launch import Launch, Level
from factory.system import process
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
