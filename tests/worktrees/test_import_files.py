"""A repository's files come into the mirror: from a shallow clone too, and without pointers to unseen files."""

import os
from pathlib import Path

import pytest

from factory.errors import InvalidInput, Refused, SourceNotFound
from factory.worktrees.import_files import bring
from factory.worktrees.repository import Author, Mirror, run
from tests.servers import git

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirror(tmp_path / "mirror.git", "")
    made.ensure()
    return made


def repository(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    git("init", "-q", "-b", "main", cwd=folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        git("add", "-A", cwd=folder)
        git("commit", "-qm", name, cwd=folder)
    return folder


@pytest.mark.parametrize("as_url", [True, False])
def test_a_shallow_clone_brings_the_files_of_its_head(mirror: Mirror, tmp_path: Path, *, as_url: bool) -> None:
    full = repository(tmp_path / "full", {"a": "1", "b/c": "2"})
    git("clone", "-q", "--depth", "1", f"file://{full}", "shallow", cwd=tmp_path)
    shallow = tmp_path / "shallow"
    brought = bring(mirror, f"file://{shallow}" if as_url else str(shallow))
    assert (brought.commit, brought.paths) == (
        git("rev-parse", "HEAD", cwd=full).stdout.strip(),
        frozenset({"a", "b/c"}),
    )
    assert mirror.read(brought.copy, "b/c") == b"2"
    assert mirror.tree_of(brought.copy) == brought.tree == git("rev-parse", "HEAD^{tree}", cwd=full).stdout.strip()
    assert run(mirror.path, "rev-parse", "--is-shallow-repository") == "false"
    assert run(mirror.path, "for-each-ref") == ""


@pytest.mark.parametrize("path", ["model.bin", "a b/mödel.bin"])
def test_a_git_lfs_pointer_is_refused(mirror: Mirror, tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidInput, match=f"{path} is a Git LFS pointer") as refused:
        bring(mirror, str(repository(tmp_path / "app", {path: POINTER})))
    assert "git lfs migrate export" in refused.value.hint
    assert run(mirror.path, "for-each-ref") == ""


def test_a_page_about_pointers_is_none(mirror: Mirror, tmp_path: Path) -> None:
    files = {"README.md": f"A pointer:\n\n{POINTER}", "long.txt": POINTER + "x" * 1024}
    assert bring(mirror, str(repository(tmp_path / "app", files))).paths == set(files)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder away")
def test_a_folder_of_another_user_is_named_with_the_way_out(mirror: Mirror, tmp_path: Path) -> None:
    source = repository(tmp_path / "app", {"a": "1"})
    for item in [source, *source.rglob("*")]:
        os.lchown(item, 1234, 1234)
    with pytest.raises(Refused, match="detected dubious ownership") as refused:
        bring(mirror, str(source))
    assert "chown" in refused.value.hint
    assert "git configuration" in refused.value.hint


def test_git_tells_its_reason_and_no_password(mirror: Mirror) -> None:
    with pytest.raises(SourceNotFound, match=r"unable to access '?http://127\.0\.0\.1:9") as refused:
        bring(mirror, "http://me:s3cret@127.0.0.1:9/app.git")
    assert "s3cret" not in str(refused.value)


def test_a_history_comes_with_its_commits(mirror: Mirror, tmp_path: Path) -> None:
    source = repository(tmp_path / "full", {"a": "1", "b/c": "2"})
    brought = bring(mirror, str(source), history=True)
    assert brought.copy == brought.commit
    start = mirror.commit({"x": b"1"}, parent=None, message="start", author=Author("a", "a@localhost"))
    made = mirror.commit(
        {},
        parent=start,
        trees={"apps/full": brought.tree},
        message="Bring it",
        author=Author("a", "a@localhost"),
        merged=brought.copy,
    )
    assert mirror.paths(made) == ["apps/full/a", "apps/full/b/c", "x"]
    assert run(mirror.path, "rev-list", "--count", made) == "4"
    assert run(mirror.path, "rev-list", "--count", "--first-parent", made) == "2"


def test_a_part_of_a_history_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    full = repository(tmp_path / "full", {"a": "1", "b/c": "2"})
    git("clone", "-q", "--depth", "1", f"file://{full}", "shallow", cwd=tmp_path)
    with pytest.raises(InvalidInput, match="shallow has a part of its history only") as refused:
        bring(mirror, str(tmp_path / "shallow"), history=True)
    assert "--squash" in refused.value.hint
