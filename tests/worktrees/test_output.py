"""What git prints is read in parts, and no more of it than the reader wants."""

from pathlib import Path

import pytest

from factory.errors import MachineError
from factory.worktrees import blobs, output
from tests.servers import git

LINES = b"0123456\n" * 2**17


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    (tmp_path / "a").write_bytes(LINES)
    git("add", "-A", cwd=tmp_path)
    git("commit", "-qm", "x", cwd=tmp_path)
    return tmp_path


@pytest.mark.parametrize("most", [0, 1, 100_000, len(LINES) - 1])
def test_more_than_the_reader_wants_is_cut(repository: Path, most: int) -> None:
    (found,) = blobs.listed(repository, "main")
    assert output.blob(repository, found, most=most) == (LINES[:most], True)


def test_all_of_it_is_read_if_it_fits(repository: Path) -> None:
    (found,) = blobs.listed(repository, "main")
    assert output.blob(repository, found, most=len(LINES)) == (LINES, False)
    assert b"".join(output.chunks(repository, "cat-file", "blob", found.sha)) == LINES


def test_a_git_that_fails_is_no_short_output(repository: Path) -> None:
    with pytest.raises(MachineError, match=r"git cat-file failed: .*missing"):
        list(output.chunks(repository, "cat-file", "blob", "main:missing"))


def test_a_git_with_a_pipe_full_of_errors_ends(repository: Path) -> None:
    names = [f"missing-{number}" for number in range(3000)]
    with pytest.raises(MachineError, match="git ls-files failed: pathspec 'missing-"):
        list(output.chunks(repository, "ls-files", "--error-unmatch", "--", *names))
