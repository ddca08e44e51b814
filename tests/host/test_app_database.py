"""The PostgreSQL database of an app: migrated first on a copy, backed up, tried and restored, on a real server."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from factory.apps import postgresql, unix_http
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, ToolFailed
from factory.host import trial
from factory.host.app_secrets import AppSecrets
from factory.host.app_state import AppStates, Migrated
from factory.host.supervisor import Supervisor
from factory.model.secret import Secret
from factory.system.toolchain import readable
from tests import postgresql_server
from tests.host.place import SERVER, packed
from tests.servers import TOOL_PATH

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(postgresql_server.MISSING), reason=postgresql_server.MISSING),
]
FIRST, SECOND = (f"shop-{digit * 40}" for digit in "12")
MACHINE = RunMachine(TOOL_PATH, readable())
# A release that answers with the columns of its table; by no means of its own can it reach the database's server.
CODE = SERVER.replace(
    'os.environ["RELEASE"].encode()',
    """subprocess.run(["psql", "-XAtd", os.environ["DATABASE_URL"], "-c",
    "select string_agg(column_name, ',') from information_schema.columns where table_name = 'orders'"],
    capture_output=True).stdout.strip()""",
).replace("import os", "import os, subprocess", 1)
MIGRATE = 'exec psql -Xqv ON_ERROR_STOP=1 -d "$DATABASE_URL" -c "$0"'
CREATE, ALTER = "create table orders (id integer)", "alter table orders add column paid integer"
FAILS = "alter table orders drop column id; select 1/0"


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    with postgresql_server.running() as folder:
        yield folder


@pytest.fixture
def url(server: Path) -> Iterator[str]:
    found = f"postgresql://shop:{postgresql_server.PASSWORD}@/shop?host={server}"
    yield found
    query(found, "drop table if exists orders")


@pytest.fixture
def made(tmp_path: Path, url: str) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path / "releases", MACHINE, grace_seconds=1)
    found.secrets.put("shop", "DATABASE_URL", Secret(url))
    yield found
    found.close()


@pytest.fixture
def states(tmp_path: Path) -> AppStates:
    return AppStates(tmp_path / "releases", MACHINE)


def query(url: str, sql: str) -> str:
    done = subprocess.run(["psql", "-XAtd", url, "-c", sql], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def release(folder: Path, sql: str) -> bytes:
    given = ("sh", "-c", MIGRATE, sql)
    return packed(folder, CODE, migrate=given, secrets=("DATABASE_URL",), database="postgresql", processes=32)


def answered(made: Supervisor, name: str) -> str:
    return unix_http.get(made.socket(name), "/", seconds=10)[1].decode()


def test_a_migration_runs_on_a_copy_and_then_once_on_the_database(
    made: Supervisor, states: AppStates, tmp_path: Path, url: str
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    assert answered(made, FIRST) == "id"
    with pytest.raises(InvalidInput, match="division by zero") as refused:
        made.keep(SECOND, release(tmp_path / "wrong", FAILS))
    assert "It ran on a copy; the state is as it was." in str(refused.value)
    assert answered(made, FIRST) == "id"
    made.keep(SECOND, release(tmp_path / "two", ALTER))
    assert (answered(made, SECOND), answered(made, FIRST)) == ("id,paid", "id,paid")
    assert states.migrated("shop") == Migrated("shop", (FIRST, SECOND))
    assert query(url, "select string_agg(datname, ',') from pg_database where datname like 'shop%'") == "shop"


def test_a_backup_is_tried_on_a_database_of_its_own_and_restored_whole(
    made: Supervisor, states: AppStates, tmp_path: Path, url: str
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    query(url, "insert into orders values (7)")
    backup = tmp_path / "shop.tar.gz"
    states.backup("shop", backup)
    trial.start_with(tmp_path / "releases", MACHINE, name=FIRST, app="shop", backup=backup)
    made.keep(SECOND, release(tmp_path / "two", ALTER))
    query(url, "delete from orders; create table later (id integer)")
    kept = made.restore("shop", backup)
    assert query(url, "select id from orders") == "7"
    assert query(url, "select to_regclass('later')") == "", "what was made later is gone"
    assert states.migrated("shop") == Migrated("shop", (FIRST,))
    assert answered(made, SECOND) == "id,paid", "it was migrated again"
    states.restore("shop", kept)
    assert query(url, "select to_regclass('later')") == "later"
    query(url, "drop table later")


@pytest.mark.parametrize("killed", ["before", "after"])
def test_an_interrupted_restore_goes_on_before_a_release_starts(
    made: Supervisor, states: AppStates, tmp_path: Path, url: str, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    backup = tmp_path / "shop.tar.gz"
    states.backup("shop", backup)
    query(url, "insert into orders values (8)")
    replace_by = postgresql.replace_by

    def stopped(*given: object, path: str) -> None:
        if killed == "after":
            replace_by(*given, path=path)  # type: ignore[arg-type]
        raise ToolFailed("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(postgresql, "replace_by", stopped)
        with pytest.raises(ToolFailed, match="power"):
            made.restore("shop", backup)
        AppStates(tmp_path / "releases", MACHINE).recover()
        with pytest.raises(ToolFailed, match="power"):
            made.socket(FIRST)
    assert answered(made, FIRST) == "id"
    assert query(url, "select count(*) from orders") == "0"


def test_a_release_without_the_server_says_why(made: Supervisor, tmp_path: Path, url: str) -> None:
    AppSecrets(tmp_path / "releases").put("shop", "DATABASE_URL", Secret(url.replace("host=/", "host=/nowhere/")))
    with pytest.raises(InvalidInput, match=r"psql ended with 2: .*No such file or directory"):
        made.keep(FIRST, release(tmp_path / "one", CREATE))
    AppSecrets(tmp_path / "releases").put("shop", "DATABASE_URL", Secret(url.replace("of-the-shop", "wrong")))
    with pytest.raises(InvalidInput, match="password authentication failed") as refused:
        made.keep(FIRST, release(tmp_path / "two", CREATE))
    assert "wrong" not in str(refused.value)


def test_a_backup_without_the_database_is_not_restored(made: Supervisor, states: AppStates, tmp_path: Path) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    whole = tmp_path / "whole.tar.gz"
    states.backup("shop", whole)
    with ExitStack() as put_back:
        secrets = AppSecrets(tmp_path / "releases")
        url = secrets.all("shop")["DATABASE_URL"]
        secrets.remove("shop", "DATABASE_URL")
        put_back.callback(secrets.put, "shop", "DATABASE_URL", Secret(url))
        with pytest.raises(InvalidInput, match="has no secret DATABASE_URL here"):
            states.restore("shop", whole)
        files_alone = tmp_path / "files.tar.gz"
        states.backup("shop", files_alone)
    with pytest.raises(InvalidInput, match="has no database, and shop has one here"):
        states.restore("shop", files_alone)


def test_a_dump_that_fills_no_database_changes_nothing(made: Supervisor, states: AppStates, tmp_path: Path) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    whole, broken = tmp_path / "whole.tar.gz", tmp_path / "broken.tar.gz"
    states.backup("shop", whole)
    with tarfile.open(whole) as source, tarfile.open(broken, "w:gz") as target:
        for entry in source:
            content = source.extractfile(entry) if entry.isreg() else None
            if entry.name == "database.dump":
                entry.size, content = 4, io.BytesIO(b"PGDM")
            target.addfile(entry, content)
    with pytest.raises(ToolFailed, match="pg_restore ended with 1"):
        made.restore("shop", broken)
    assert answered(made, FIRST) == "id"


def test_a_later_restore_takes_the_place_of_one_that_waits(
    made: Supervisor, states: AppStates, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.keep(FIRST, release(tmp_path / "one", CREATE))
    backup = tmp_path / "shop.tar.gz"
    states.backup("shop", backup)

    def away(*_: object, path: str) -> None:
        raise ToolFailed(f"the server is away, whatever {path} has")

    with monkeypatch.context() as patched:
        patched.setattr(postgresql, "replace_by", away)
        for _ in range(2):
            with pytest.raises(ToolFailed, match="server is away"):
                made.restore("shop", backup)
    query(url, "insert into orders values (9)")
    made.restore("shop", backup)
    assert (answered(made, FIRST), query(url, "select count(*) from orders")) == ("id", "0")
