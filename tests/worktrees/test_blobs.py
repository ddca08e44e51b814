"""Files of a commit are read whole or not at all."""

from pathlib import Path

import pytest

from factory.errors import MachineError, NotFound
from factory.worktrees import blobs
from factory.worktrees.repository import Mirror
from tests.servers import git

FILES = {
    ":(glob)x": b"g",
    "a.txt": b"a\n",
    "b/binary": bytes(range(256)),
    "b/c/name with\ttab": b"x\n\ny",
    "empty": b"",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    git("add", "-A", cwd=tmp_path)
    git("commit", "-qm", "x", cwd=tmp_path)
    return tmp_path


def test_every_byte_comes_back(repository: Path) -> None:
    mirror = Mirror(repository / ".git", "")
    assert mirror.tree("main") == FILES
    assert set(mirror.tree("main", "b/")) == {"b/binary", "b/c/name with\ttab"}
    assert mirror.tree("main", "missing/") == {}
    assert all(mirror.read("main", path) == content for path, content in FILES.items())


def test_what_is_not_there_is_not_found(repository: Path) -> None:
    mirror = Mirror(repository / ".git", "")
    for revision, path in (("main", "a"), ("main", "b"), ("nothing", "a.txt")):
        with pytest.raises(NotFound):
            mirror.read(revision, path)
    with pytest.raises(MachineError):
        mirror.read("0" * 40, "a.txt")  # a commit that somebody named, and that is gone
    assert mirror.resolve("nothing") is None
    assert not mirror.is_ancestor("nothing", "main")


@pytest.mark.parametrize("script", ["exit 128", "kill -KILL $$"])
def test_a_git_that_fails_is_no_missing_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    mirror = Mirror(repository / ".git", "")
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    for what in (
        lambda: mirror.read("main", "a.txt"),
        lambda: mirror.tree("main"),
        lambda: mirror.resolve("main"),
        lambda: mirror.is_ancestor("main", "main"),
    ):
        with pytest.raises(MachineError):
            what()


def test_a_missing_object_is_an_error(repository: Path) -> None:
    with pytest.raises(MachineError, match="could not be read"):
        blobs.contents(repository, [blobs.Blob("gone", "0" * 40)])
