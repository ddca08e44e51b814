"""``factory host backup`` and ``restore``: the state of an app that a host runs, written, tried and brought back."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from factory.apps.running import RunMachine
from factory.host.host import LOCK, RELEASES, Host, Source
from factory.host.sockets import Sockets
from factory.host.supervisor import Supervisor
from factory.sandbox import launch
from factory.system import files
from factory.system.toolchain import readable
from factory.worktrees.repository import Mirror
from tests.cli.host.test_host_run import host
from tests.evidence import examples
from tests.host.place import Place, chain, packed
from tests.host.test_app_state import CODE, CREATE, MIGRATE
from tests.servers import TOOL_PATH

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
NAME = f"shop-{examples.commit('merge 12')}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a host that runs a release with a state, and takes up what is asked of it."""
    with tempfile.TemporaryDirectory() as short:
        place, made = Place(tmp_path, Path(short)), files.private_folder(tmp_path / "host")
        content = packed(tmp_path / "one", CODE, state=True, migrate=("python3", "-c", MIGRATE, CREATE))
        (place.archives / NAME).write_bytes(content)
        place.record(*chain(12, content))
        mirror = Mirror(made / "repository.git", str(place.remote))
        mirror.ensure()
        source = Source("factory/shop", "production", mirror, "", examples.trust, place.archive)
        supervisor = Supervisor(made / RELEASES, RunMachine(TOOL_PATH, readable()), grace_seconds=1)
        runs = Host(source, supervisor, Sockets(place.sockets), made, place.said.append)
        over = Event()

        def serve() -> None:
            while not over.wait(0.1):
                runs.restart_ended()

        with files.locked(made / LOCK, wait=False):
            assert runs.look().releases[0].ready
            thread = Thread(target=serve)
            thread.start()
            yield made
            over.set()
            thread.join()
            runs.close()
        place.host.close()


def ask(folder: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    return host(folder.parent, *argv, "--state", str(folder))


def test_a_state_is_written_tried_and_brought_back(folder: Path) -> None:
    backup, note = folder.parent / "shop.tar.gz", folder / RELEASES / "state/shop/note"
    note.write_text("first")
    done = ask(folder, "backup", "production", "shop", str(backup))
    assert (done.returncode, done.stdout) == (0, f"{backup} is written; {NAME} answers with it\n"), done.stderr
    note.write_text("second")
    done = ask(folder, "restore", "production", "shop", str(backup), "--json")
    assert done.returncode == 0, done.stderr
    assert note.read_text() == "first"
    before = Path(json.loads(done.stdout)["before"])
    assert ask(folder, "restore", "production", "shop", str(before)).returncode == 0
    assert note.read_text() == "second"


def test_what_is_wrong_is_said_in_a_line(folder: Path) -> None:
    text = folder.parent / "text"
    text.write_text("no backup")
    for argv, code, said in [
        (("backup", "production", "shop", str(text)), 3, f"{text} exists already"),
        (
            ("backup", "production", "cart", str(folder / "new")),
            4,
            "Apps with a state: shop",
        ),
        (("restore", "production", "shop", str(text)), 3, "nothing was restored: text is not a backup of shop"),
    ]:
        done = ask(folder, *argv)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert "no host of production ran here" in host(folder.parent, "backup", "production", "shop", "x").stderr
    assert "no host of production runs here" in host(folder.parent, "restore", "production", "shop", str(text)).stderr
