"""Tests and installs behind the door, without network, by the real pip, npm and pytest."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest

from factory.sandbox import caches, launch
from factory.sandbox.launch import Launch
from factory.system import process
from tests.servers import TOOL_PATH

needs_bwrap = pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")


def behind(work: Path, script: str, offered: caches.Caches) -> process.CompletedProcess:
    prepared = launch.prepare(
        Launch(
            ("sh", "-c", script),
            work,
            {"PATH": TOOL_PATH, "HOME": str(work), "TMPDIR": str(work), **offered.env},
            writable=(work,),
            readable=(Path(sys.prefix), Path(sys.base_prefix), *offered.readable),
        )
    )
    return process.run(prepared.argv, cwd=work, env=prepared.env, check=False)


@pytest.mark.long
@needs_bwrap
def test_pip_installs_from_the_machines_wheels_and_pytest_runs(tmp_path: Path) -> None:
    wheels, work = tmp_path / "wheels", tmp_path / "work"
    wheels.mkdir()
    work.mkdir()
    with zipfile.ZipFile(wheels / "planted-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("planted.py", "VALUE = 7\n")
        wheel.writestr("planted-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
        wheel.writestr("planted-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("planted-1.0.dist-info/RECORD", "")
    (work / "test_it.py").write_text("import planted\ndef test_it():\n    assert planted.VALUE == 7\n")
    script = (
        "python3 -m pip install -q --target lib planted && PYTHONPATH=lib python3 -m pytest -q test_it.py"
        " && python3 -m pip install -q --target lib absent"
    )
    done = behind(work, script, caches.offer(work / "own", wheels=wheels))
    assert "1 passed" in done.text, done.errors
    assert done.returncode != 0
    assert "No matching distribution found for absent" in done.errors


@pytest.mark.long
@needs_bwrap
def test_npm_installs_from_the_machines_cache(tmp_path: Path) -> None:
    npm = shutil.which("npm", path=TOOL_PATH)
    if npm is None:
        pytest.skip("npm is not installed")
    package, host, work = tmp_path / "planted", tmp_path / "host", tmp_path / "work"
    for folder in (package, host, work):
        folder.mkdir()
    (package / "package.json").write_text('{"name": "planted", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text("module.exports = 7\n")
    env = {"PATH": TOOL_PATH, "HOME": str(host), "npm_config_cache": str(host), "npm_config_update_notifier": "false"}

    def run(*argv: str, cwd: Path) -> None:
        subprocess.run([npm, *argv], cwd=cwd, env=env, check=True, capture_output=True)

    run("pack", cwd=package)
    tarball = package / "planted-1.0.0.tgz"
    run("cache", "add", str(tarball), cwd=package)
    integrity = "sha512-" + b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    locked = {"version": "1.0.0", "resolved": "https://registry.npmjs.org/planted/-/planted-1.0.0.tgz"}
    lock = {
        "name": "app",
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"planted": "1.0.0"}},
            "node_modules/planted": {**locked, "integrity": integrity},
        },
    }
    (work / "package.json").write_text('{"name": "app", "dependencies": {"planted": "1.0.0"}}')
    (work / "package-lock.json").write_text(json.dumps(lock))
    script = "npm ci --no-audit --no-fund >&2 && node -p 'require(\"planted\")'"
    done = behind(work, script, caches.offer(work / "own", npm=host))
    assert done.text == "7\n", done.errors
