"""The encrypted file: nothing of it can be read without the key, and nothing is lost."""

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from factory.errors import Conflict, DiskFull, InvalidInput, NotFound, Refused
from factory.model.secret import Secret, SecretLocation
from factory.secrets.file import EncryptedFile, made_key, passphrase_key

ONE = SecretLocation("one", "plan/one")
VALUE = "planted-value-77aa"


@pytest.fixture
def store(tmp_path: Path) -> EncryptedFile:
    return EncryptedFile(tmp_path / "store" / "secrets.json", made_key(tmp_path / "keys" / "key"))


def test_versions_and_names(store: EncryptedFile) -> None:
    assert store.names() == ()
    assert store.put(ONE, Secret("first"), version=0) == 1
    assert store.put(ONE, Secret(VALUE)) == 2
    store.put(SecretLocation("two", "apply/production/two"), Secret("x"))
    found = store.get(ONE)
    assert (found.value.reveal(), found.version) == (VALUE, 2)
    assert store.names() == ("apply/production/two", "plan/one")
    with pytest.raises(Conflict, match="at version 2, not 1"):
        store.put(ONE, Secret("third"), version=1)
    with pytest.raises(NotFound):
        store.get(SecretLocation("none", "plan/none"))


def test_nothing_can_be_read_in_the_file(store: EncryptedFile) -> None:
    store.put(ONE, Secret(VALUE))
    text = store.path.read_text()
    assert VALUE not in text
    assert "one" not in text
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    before = json.loads(text)
    store.put(ONE, Secret(VALUE))
    after = json.loads(store.path.read_text())
    assert before["nonce"] != after["nonce"]
    assert before["salt"] != after["salt"]


@pytest.mark.parametrize("name", ["nonce", "salt", "body"])
def test_a_changed_byte_is_found(store: EncryptedFile, name: str) -> None:
    store.put(ONE, Secret(VALUE))
    kept = json.loads(store.path.read_text())
    first = kept[name][0]
    store.path.write_text(json.dumps(kept | {name: ("A" if first != "A" else "B") + kept[name][1:]}))
    with pytest.raises(InvalidInput, match="the key is wrong or the file was changed"):
        store.get(ONE)


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json", '{"format": 2, "salt": "", "nonce": "", "body": ""}'])
def test_another_file_is_told_and_not_overwritten(store: EncryptedFile, text: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(text)
    with pytest.raises(InvalidInput, match="can't be decrypted"):
        store.put(ONE, Secret(VALUE))
    assert store.path.read_text() == text


def test_another_key_opens_nothing(store: EncryptedFile, tmp_path: Path) -> None:
    store.put(ONE, Secret(VALUE))
    other = EncryptedFile(store.path, made_key(tmp_path / "keys" / "other"))
    with pytest.raises(InvalidInput, match="can't be decrypted"):
        other.get(ONE)


def test_a_passphrase_opens_what_it_closed(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    EncryptedFile(path, passphrase_key(Secret("planted passphrase"))).put(ONE, Secret(VALUE))
    assert EncryptedFile(path, passphrase_key(Secret("planted passphrase"))).get(ONE).value.reveal() == VALUE
    with pytest.raises(InvalidInput):
        EncryptedFile(path, passphrase_key(Secret("another"))).get(ONE)


def test_the_key_is_private_and_outside_of_any_repository(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key"
    made_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(Refused, match="others can read"):
        made_key(path)
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    with pytest.raises(Refused, match="inside a repository"):
        made_key(tmp_path / "clone" / "deep" / "key")
    path.chmod(0o600)
    path.write_text("c2hvcnQ=")
    with pytest.raises(InvalidInput, match="does not contain a key of 32 bytes"):
        made_key(path)


def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    store = EncryptedFile(small_disk / "secrets.json", made_key(tmp_path / "key"))
    store.put(ONE, Secret(VALUE))
    with pytest.raises(DiskFull):
        store.put(SecretLocation("big", "plan/big"), Secret("x" * 100_000))
    assert store.get(ONE).value.reveal() == VALUE
    assert store.names() == ("plan/one",)


def test_writers_wait_for_each_other(store: EncryptedFile, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from factory.model.secret import Secret, SecretLocation\n"
        "from factory.secrets.file import EncryptedFile, made_key\n"
        "store = EncryptedFile(Path(sys.argv[1]), made_key(Path(sys.argv[2])))\n"
        "for n in range(10): store.put(SecretLocation('x', f'plan/{sys.argv[3]}-{n}'), Secret('v'))\n"
    )
    made_key(tmp_path / "keys" / "key")
    argv = [sys.executable, "-c", script, str(store.path), str(tmp_path / "keys" / "key")]
    running = [subprocess.Popen([*argv, name]) for name in ("a", "b")]
    assert [item.wait(30) for item in running] == [0, 0]
    assert len(store.names()) == 20


def test_a_killed_writer_leaves_the_old_file(store: EncryptedFile) -> None:
    store.put(ONE, Secret(VALUE))
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            store.put(SecretLocation("big", "plan/big"), Secret("x" * 10_000))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert store.get(ONE).value.reveal() == VALUE
    assert store.names() == ("plan/one",)
