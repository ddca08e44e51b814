"""The secrets of an app: a release gets those that it names, and nobody else reads them."""

from pathlib import Path

import pytest

from factory.apps import unix_http
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, NotFound, ToolFailed
from factory.host.app_secrets import AppSecrets
from factory.host.supervisor import Supervisor
from factory.model.secret import Secret
from factory.sandbox.launch import Level
from factory.system.toolchain import readable
from tests.host.place import SERVER, packed
from tests.servers import TOOL_PATH

NAME = "shop-" + "1" * 40
SEEN = """repr((os.environ.get("KEY"), os.environ.get("OTHER"), os.path.exists(SECRETS))).encode()"""


def test_a_release_gets_what_it_names_and_cannot_read_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "releases"
    code = SERVER.replace('os.environ["RELEASE"].encode()', SEEN.replace("SECRETS", repr(str(folder / "secrets"))))
    made = Supervisor(folder, RunMachine(TOOL_PATH, readable(), Level.BWRAP), grace_seconds=1)
    try:
        with pytest.raises(InvalidInput, match="needs the secret KEY: `factory host secret ENVIRONMENT shop KEY`"):
            made.keep(NAME, packed(tmp_path / "one", code, secrets=("KEY",)))
        assert made.listing() == []
        for name in ("KEY", "OTHER"):
            made.secrets.put("shop", name, Secret(f"the {name}"))
        made.keep(NAME, packed(tmp_path / "two", code, secrets=("KEY",)))
        assert unix_http.get(made.socket(NAME), "/", seconds=5)[1] == b"('the KEY', None, False)"
        made.secrets.put("shop", "KEY", Secret("another"))
        made.stop(NAME)
        assert unix_http.get(made.socket(NAME), "/", seconds=5)[1].startswith(b"('another'")
    finally:
        made.close()


def test_they_are_kept_in_a_private_file_and_removed_by_name(tmp_path: Path) -> None:
    kept = AppSecrets(tmp_path)
    kept.put("shop", "KEY", Secret("value"))
    kept.put("shop", "OTHER", Secret("value"))
    [path] = (tmp_path / "secrets").glob("*.json")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert kept.names("shop") == ["KEY", "OTHER"]
    kept.remove("shop", "OTHER")
    with pytest.raises(NotFound, match="shop has no secret OTHER here"):
        kept.remove("shop", "OTHER")
    assert (kept.names("shop"), kept.names("blog"), kept.of("shop", ())) == (["KEY"], [], {})
    with pytest.raises(ToolFailed, match="needs the secrets A, B"):
        kept.of("shop", ("KEY", "A", "B"))
