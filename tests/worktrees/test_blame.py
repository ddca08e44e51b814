"""Where a line comes from, and which commits contain it."""

from pathlib import Path

import pytest

from factory.errors import NotFound
from factory.worktrees import blame
from tests.servers import git


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    git("init", "-q", "-b", "main", ".", cwd=tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a b.txt").write_text("one\ntwo\n")
    git("add", ".", cwd=tmp_path)
    git("commit", "-q", "-m", "Add two lines\n\nFactory-Session: s-1\nIssue: #3", cwd=tmp_path)
    (tmp_path / "d/a b.txt").write_text("one\nTWO\n\tthree: x\n")
    git("commit", "-q", "-a", "-m", "Change one", cwd=tmp_path)
    return tmp_path


def sha(clone: Path, revision: str) -> str:
    return git("rev-parse", revision, cwd=clone).stdout.strip()


def test_each_line_has_its_commit_and_those_that_contain_it(clone: Path) -> None:
    file = clone / "d/a b.txt"
    assert blame.clone_of(file) == clone.resolve()
    first, second = blame.blame(clone, file, 1), blame.blame(clone, file, 3)
    assert (first.text, first.commit, first.title, first.session) == (
        "one",
        sha(clone, "HEAD~1"),
        "Add two lines",
        "s-1",
    )
    assert first.containing == {sha(clone, "HEAD~1"), sha(clone, "HEAD")}
    assert (second.text, second.session) == ("\tthree: x", "")
    assert second.containing == {sha(clone, "HEAD")}
    file.write_text("one\nTWO\nmine\n")
    assert blame.blame(clone, file, 3).commit is None


@pytest.mark.parametrize("line", [0, 9])
def test_a_line_that_is_not_there_is_told(clone: Path, line: int) -> None:
    with pytest.raises(NotFound):
        blame.blame(clone, clone / "d/a b.txt", line)


def test_a_file_that_is_in_no_clone_is_told(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    elsewhere.write_text("1\n")
    for file in (clone / "nothing", elsewhere):
        with pytest.raises(NotFound):
            blame.clone_of(file)
    (clone / "new").write_text("1\n")
    with pytest.raises(NotFound, match="no such path"):
        blame.blame(clone, clone / "new", 1)
