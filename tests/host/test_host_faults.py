"""A host that is killed at any moment, and one whose disk is full: what ran runs, and nothing half-done counts."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.host.status import STATUS
from factory.sandbox import launch
from factory.system import canonical
from tests.host.place import DEPLOYED, Place
from tests.servers import TOOL_PATH

# What a host does, once: it is killed at a moment of this, or has all of it behind it and says so.
LOOK = """
import sys, time
from collections.abc import Iterator
from pathlib import Path
from tests.host.place import Place

place = Place(*map(Path, sys.argv[1:3]))
print("begun", flush=True)
place.host.start_stored()
place.host.look()
print("done", flush=True)
time.sleep(600)
"""
# On a disk of 8 MiB: it is full while a second release is ordered, and has room again.
FULL = """
import sys
from collections.abc import Iterator
from pathlib import Path
from tests.host.place import DEPLOYED, Place

place = Place(*map(Path, sys.argv[1:4]))
first = place.deliver(12, DEPLOYED)
assert [item.ready for item in place.host.look().releases] == [True], place.said
filling = place.store / "filling"
with filling.open("wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096):
            pass
    except OSError as error:
        print(error)
second = place.deliver(13)
for _ in range(2):
    found = place.host.look()
    print(found)
    ready = {item.release: item.ready for item in found.releases}
    assert ready.pop(first) and not any(ready.values()), ready
    assert place.get(place.socket(first)) == (200, first.encode())
assert any("o space left" in line for line in place.said), place.said
filling.unlink()
place.host._retries._failures.clear()  # not to wait for the next try
found = place.host.look()
assert {item.release: item.ready for item in found.releases} == {first: True, second: True}, (found, place.said)
assert found.problem == ""
assert place.get(place.socket(second)) == (200, second.encode())
place.host.close()
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        yield Path(folder)


@pytest.mark.long
def test_a_host_that_is_killed_at_any_moment_goes_on(tmp_path: Path, short_folder: Path) -> None:
    place = Place(tmp_path, short_folder)
    names = [place.deliver(12, DEPLOYED), place.deliver(13)]
    argv = [sys.executable, "-c", LOOK, str(tmp_path), str(short_folder)]
    for number in range(12):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path.cwd()) as host:
            assert host.stdout is not None
            assert host.stdout.readline() == b"begun\n"
            try:
                host.communicate(timeout=0.1 * number)
            except subprocess.TimeoutExpired:
                host.send_signal(signal.SIGKILL)
    found = place.host
    found.start_stored()
    status = found.look()
    assert status.problem == ""
    assert [(item.release, item.ready) for item in status.releases] == [(name, True) for name in sorted(names)]
    for item in status.releases:
        assert item.archive == canonical.digest((place.archives / item.release).read_bytes())
        assert place.get(Path(item.socket)) == (200, item.release.encode())
    assert {path.name for path in (tmp_path / "releases").iterdir()} == {
        "logs",
        "unpacked",
        *(f"{name}.{end}" for name in names for end in ("json", "archive")),
    }, "nothing of what was begun is left"
    assert json.loads((tmp_path / "state" / STATUS).read_text())["problem"] == ""
    place.host.close()


def test_on_a_full_disk_the_old_release_serves(tmp_path: Path, short_folder: Path) -> None:
    bwrap = launch.probe(TOOL_PATH)
    if bwrap is None:
        pytest.skip("bubblewrap makes the disk that is full")
    disk = tmp_path / "disk"
    disk.mkdir()
    program = [sys.executable, "-c", FULL, str(tmp_path), str(short_folder), str(disk)]
    small = [bwrap, "--dev-bind", "/", "/", "--size", str(8 * 2**20), "--tmpfs", str(disk), "--die-with-parent"]
    done = subprocess.run([*small, *program], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
