"""The state of an app: migrated once and first on a copy, backed up while it is used, and restored by a person."""

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from factory.apps import migrating, unix_http
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, NotFound, ToolFailed
from factory.host import trial
from factory.host.app_state import AppStates, Migrated
from factory.host.supervisor import Supervisor
from factory.system.toolchain import readable
from tests.host.place import SERVER, packed
from tests.servers import TOOL_PATH

FIRST, SECOND = (f"shop-{digit * 40}" for digit in "12")
MACHINE = RunMachine(TOOL_PATH, readable())
# A release that answers with the columns of its table, and needs what its migration makes.
CODE = SERVER.replace(
    'os.environ["RELEASE"].encode()',
    """str([row[1] for row in sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/shop.db")
    .execute("pragma table_info(orders)")]).encode()""",
).replace("import os", "import os, sqlite3", 1)
NEEDS = """import os, sqlite3
sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/shop.db").execute("select * from orders")
"""
MIGRATE = """import os, sqlite3, sys
with sqlite3.connect(os.environ["STATE_DIRECTORY"] + "/shop.db") as database:
    database.execute(sys.argv[1])
print("migrated")
"""
CREATE, ALTER = "create table orders (id integer)", "alter table orders add column paid integer"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path / "releases", MACHINE, grace_seconds=1)
    yield found
    found.close()


@pytest.fixture
def states(tmp_path: Path) -> AppStates:
    return AppStates(tmp_path / "releases", MACHINE)


def release(folder: Path, sql: str, code: str = CODE) -> bytes:
    return packed(folder, code, state=True, migrate=("python3", "-c", MIGRATE, sql))


def answered(made: Supervisor, name: str) -> str:
    return unix_http.get(made.socket(name), "/", seconds=5)[1].decode()


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("select count(*) from orders").fetchone()[0])


def test_a_migration_runs_once_before_its_release_and_keeps_a_backup(
    made: Supervisor, states: AppStates, tmp_path: Path
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    assert (answered(made, FIRST), states.backups("shop")) == ("['id']", [])
    made.keep(SECOND, release(tmp_path / "two", ALTER))
    assert answered(made, SECOND) == "['id', 'paid']"
    assert made.running(FIRST) is not None
    [backup] = states.backups("shop")
    assert f"before-{SECOND}" in backup.name
    assert states.migrated("shop") == Migrated("shop", (FIRST, SECOND))
    made.stop(SECOND)
    assert answered(made, SECOND) == "['id', 'paid']", "it was not run again: that fails"


def test_a_migration_that_fails_changes_nothing_and_the_release_is_not_kept(
    made: Supervisor, states: AppStates, tmp_path: Path
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    both = MIGRATE.replace("sys.argv[1])", 'sys.argv[1])\n    database.commit()\n    raise SystemExit("half done")')
    content = packed(tmp_path / "two", CODE, state=True, migrate=("python3", "-c", both, ALTER))
    with pytest.raises(InvalidInput) as refused:
        made.keep(SECOND, content)
    told = str(refused.value)
    assert "the migration ended with 1:\n  half done" in told
    assert "It ran on a copy; the state is as it was." in told
    assert answered(made, FIRST) == "['id']"
    assert states.migrated("shop").releases == (FIRST,)
    assert [item.name for item in made.listing()] == [FIRST]


def test_a_backup_of_a_database_in_use_is_whole_and_a_release_answers_with_it(
    made: Supervisor, states: AppStates, tmp_path: Path
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    database = sqlite3.connect(states.folder("shop") / "shop.db", isolation_level=None)
    database.execute("pragma journal_mode = wal")
    database.executemany("insert into orders values (?)", [(number,) for number in range(500)])
    database.execute("begin immediate")
    database.execute("insert into orders values (0)")
    states.backup("shop", tmp_path / "shop.tar.gz")
    database.close()
    trial.start_with(tmp_path / "releases", MACHINE, name=FIRST, app="shop", backup=tmp_path / "shop.tar.gz")
    with states.opened("shop", tmp_path / "shop.tar.gz") as (found, _):
        assert rows(found / "shop.db") == 500
        assert [path.name for path in found.iterdir()] == ["shop.db"]
    assert (tmp_path / "shop.tar.gz").stat().st_mode & 0o777 == 0o600


def test_a_backup_that_no_release_can_use_is_told(made: Supervisor, states: AppStates, tmp_path: Path) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE, f"{NEEDS}{CODE}"))
    (states.folder("shop") / "shop.db").write_bytes(b"no database" * 100)
    states.backup("shop", tmp_path / "shop.tar.gz")
    with pytest.raises(ToolFailed, match="the release ended with 1"):
        trial.start_with(tmp_path / "releases", MACHINE, name=FIRST, app="shop", backup=tmp_path / "shop.tar.gz")


def test_a_restore_brings_state_and_migrations_back_and_keeps_what_was(
    made: Supervisor, states: AppStates, tmp_path: Path
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    states.backup("shop", tmp_path / "shop.tar.gz")
    made.keep(SECOND, release(tmp_path / "two", ALTER))
    before = made.restore("shop", tmp_path / "shop.tar.gz")
    assert (made.running(FIRST), made.running(SECOND)) == (None, None)
    assert states.migrated("shop").releases == (FIRST,)
    assert answered(made, FIRST) == "['id']"
    assert answered(made, SECOND) == "['id', 'paid']", "its migration runs again on the earlier state"
    made.restore("shop", before)
    assert (answered(made, SECOND), states.migrated("shop").releases) == ("['id', 'paid']", (FIRST, SECOND))


@pytest.mark.parametrize("done", ["nothing", "the old state is half deleted", "the new state is there"])
def test_an_interrupted_restore_goes_on_at_the_next_start(states: AppStates, tmp_path: Path, done: str) -> None:
    state, pending = states.folder("shop"), tmp_path / "releases/work/shop.restore"
    (pending / "files").mkdir(parents=True)
    (pending / "files/new").touch()
    (pending / "state.json").write_text('{"app": "shop", "releases": ["one"]}')
    state.mkdir(parents=True)
    (state / "old").touch()
    (tmp_path / "releases/work/999999999").mkdir()
    if done != "nothing":
        (state / "old").unlink()
    if done == "the new state is there":
        state.rmdir()
        (pending / "files").rename(state)
    states.recover()
    assert [path.name for path in state.iterdir()] == ["new"]
    assert states.migrated("shop").releases == ("one",)
    assert list((tmp_path / "releases/work").iterdir()) == []


def test_a_state_that_claims_more_than_the_disk_has_is_not_copied(states: AppStates, tmp_path: Path) -> None:
    state = states.folder("shop")
    state.mkdir(parents=True)
    with (state / "sparse").open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).free)
    with pytest.raises(ToolFailed, match="MiB, and the disk"):
        states.backup("shop", tmp_path / "shop.tar.gz")
    assert not (tmp_path / "shop.tar.gz").exists()


def test_only_a_backup_of_the_app_is_restored(states: AppStates, tmp_path: Path) -> None:
    for app in ("shop", "blog"):
        states.folder(app).mkdir(parents=True)
    (states.folder("shop") / "kept").touch()
    (tmp_path / "text").write_text("no archive")
    states.backup("blog", tmp_path / "blog.tar.gz")
    for name in ("text", "blog.tar.gz", "missing"):
        with pytest.raises(InvalidInput, match="is not a backup of shop"):
            states.restore("shop", tmp_path / name)
    assert (states.folder("shop") / "kept").exists()
    with pytest.raises(NotFound, match="cart has no state here"):
        states.backup("cart", tmp_path / "cart.tar.gz")
    with pytest.raises(ToolFailed, match="can't be written"):
        states.backup("shop", tmp_path / "missing/shop.tar.gz")


def test_a_copy_follows_no_link_of_the_app(states: AppStates, tmp_path: Path) -> None:
    secret, state = tmp_path / "secret", states.folder("shop")
    (secret / "inner").mkdir(parents=True)
    (secret / "key").write_text("private")
    with closing(sqlite3.connect(secret / "other.db")) as database:
        database.execute("create table secrets (id)")
    state.mkdir(parents=True)
    for name in ("key", "other.db", "inner"):
        (state / name).symlink_to(secret / name)
    (state / "shop.db").symlink_to(secret / "other.db")
    os.mkfifo(state / "pipe")
    migrating.copy(state, tmp_path / "copy", MACHINE, seconds=60)
    found = {path.name: path.is_symlink() for path in (tmp_path / "copy").iterdir()}
    assert found == {"key": True, "other.db": True, "inner": True, "shop.db": True}


@pytest.mark.parametrize("path", ["files/../../out", "/files/out", "other", "files/link/out"])
def test_no_backup_writes_outside_of_its_folder(states: AppStates, tmp_path: Path, path: str) -> None:
    states.folder("shop").mkdir(parents=True)
    (states.folder("shop") / "link").symlink_to(tmp_path)
    states.backup("shop", tmp_path / "good.tar.gz")
    with tarfile.open(tmp_path / "good.tar.gz") as good, tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as bad:
        for entry in good:
            bad.addfile(entry, good.extractfile(entry) if entry.isreg() else None)
        bad.addfile(tarfile.TarInfo(path))
    with pytest.raises(InvalidInput, match="the backup has the path"):
        states.restore("shop", tmp_path / "bad.tar.gz")
    assert not (tmp_path / "out").exists()
