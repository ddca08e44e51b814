"""The supervisor takes a release that runs, says why it does not take another, and keeps it as it was stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory.apps import unix_http
from factory.apps.running import RunMachine
from factory.errors import Conflict, InvalidInput, NotFound, ToolFailed
from factory.host.supervisor import Supervisor
from factory.system.toolchain import readable
from tests.host.place import SERVER, packed
from tests.servers import TOOL_PATH

NAME = "shop-" + "1" * 40


def supervised(folder: Path, *, seconds: float = 10.0) -> Supervisor:
    return Supervisor(folder / "releases", RunMachine(TOOL_PATH, readable()), health_seconds=seconds, grace_seconds=1)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Supervisor]:
    found = supervised(tmp_path)
    yield found
    found.close()


def test_a_release_is_kept_once_for_its_name(made: Supervisor, tmp_path: Path) -> None:
    content = packed(tmp_path / "one")
    assert made.keep(NAME, content)
    assert not made.keep(NAME, content)
    kept = made.show(NAME)
    assert (kept.name, kept.state) == (NAME, "running")
    with pytest.raises(Conflict, match=f"exists with other bytes \\(sha256 {kept.sha256}\\)"):
        made.keep(NAME, packed(tmp_path / "two", SERVER + "# other bytes\n"))
    assert made.listing() == [kept]


def test_a_release_can_be_removed(made: Supervisor, tmp_path: Path) -> None:
    made.keep(NAME, packed(tmp_path / "one"))
    made.remove(NAME)
    with pytest.raises(NotFound, match="does not exist"):
        made.remove(NAME)
    assert made.keep(NAME, packed(tmp_path / "two", SERVER + "# other bytes\n"))


@pytest.mark.parametrize("name", ["Shop", "1shop", "s", "shop_1", "s" * 64, "../shop"])
def test_a_name_that_is_no_host_label_is_refused(made: Supervisor, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="a release's name must match"):
        made.keep(name, packed(tmp_path / "one"))


def test_a_body_that_is_no_archive_is_refused(made: Supervisor, tmp_path: Path) -> None:
    damaged = bytearray(packed(tmp_path / "one"))
    damaged[60] ^= 0xFF
    for content in (b"not an archive", bytes(damaged), b""):
        with pytest.raises(InvalidInput, match="the archive is damaged"):
            made.keep(NAME, content)
    assert made.listing() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no database')", "ended with 1 before it answered\n  no database"),
        ("import time; time.sleep(60)", "did not listen within 1.5 s"),
        (SERVER.replace("send_response(200)", "send_response(503)"), "answered 503 to GET /"),
        (
            SERVER.replace("def do_GET(self):", "def do_GET(self):\n        import time; time.sleep(60)"),
            "did not answer",
        ),
    ],
)
def test_a_release_that_does_not_become_healthy_is_refused_and_ended(tmp_path: Path, code: str, said: str) -> None:
    made = supervised(tmp_path, seconds=1.5)
    try:
        with pytest.raises(InvalidInput) as refused:
            made.keep(NAME, packed(tmp_path / "one", code))
        assert said in str(refused.value)
        assert made.listing() == []
    finally:
        made.close()


def test_the_same_release_kept_twice_at_once_is_kept_once(made: Supervisor, tmp_path: Path) -> None:
    content = packed(tmp_path / "one")
    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(lambda _: made.keep(NAME, content), range(4)))
    assert sorted(new) == [False, False, False, True]


def test_a_stored_release_that_was_changed_is_not_started(made: Supervisor, tmp_path: Path) -> None:
    made.keep(NAME, packed(tmp_path / "one"))
    made.stop(NAME)
    (tmp_path / "releases" / f"{NAME}.archive").write_bytes(packed(tmp_path / "two", "other = True"))
    with pytest.raises(ToolFailed, match="was changed \\(expected sha256"):
        made.socket(NAME)


def test_a_release_sees_a_minimal_environment(made: Supervisor, tmp_path: Path) -> None:
    code = SERVER.replace('os.environ["RELEASE"].encode()', '",".join(sorted(os.environ)).encode()')
    made.keep(NAME, packed(tmp_path / "one", code))
    names = set(unix_http.get(made.socket(NAME), "/", seconds=5)[1].decode().split(","))
    assert names - {"LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"} == {"HOME", "LANG", "PATH", "RELEASE", "SOCKET"}
    assert not (tmp_path / "releases/state").exists()


COUNTING = SERVER.replace(
    "self.wfile.write(",
    """with open(os.environ["STATE_DIRECTORY"] + "/visits", "a+") as file:
            file.write("x")
            file.seek(0)
            self.wfile.write(str(len(file.read())).encode() + b" ")
        self.wfile.write(""",
)


def visit(made: Supervisor, name: str) -> str:
    return unix_http.get(made.socket(name), "/", seconds=5)[1].decode().partition(" ")[0]


def test_the_state_of_an_app_outlives_its_releases_and_the_supervisor(made: Supervisor, tmp_path: Path) -> None:
    later = "shop-" + "2" * 40
    made.keep(NAME, packed(tmp_path / "one", COUNTING, state=True))
    first = int(visit(made, NAME))
    made.keep(later, packed(tmp_path / "two", COUNTING + "# later\n", state=True))
    assert int(visit(made, later)) > first, "the next release goes on with it"
    made.remove(NAME)
    made.remove(later)
    made.close()
    again = supervised(tmp_path)
    try:
        again.keep(later, packed(tmp_path / "two again", COUNTING, state=True))
        assert int(visit(again, later)) > first + 1
        again.keep("shop-admin-" + "3" * 40, packed(tmp_path / "other", COUNTING, state=True))
        assert visit(again, "shop-admin-" + "3" * 40) == "2", "another app has a folder of its own"
    finally:
        again.close()
