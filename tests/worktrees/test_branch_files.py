"""A branch of any repository: read from a bare repository or a clone, with the mode of every entry."""

from pathlib import Path

import pytest

from factory.errors import NotFound, Unreachable
from factory.worktrees.branch_files import fetch
from tests.servers import git

BRANCH = "factory/evidence"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a bare repository with the branch, whose tree has a file, a program, a link and a gitlink."""
    made = tmp_path / "made"
    git("init", "-q", "-b", BRANCH, "made", cwd=tmp_path)
    (made / "plain").write_bytes(b"\x00\xff")
    (made / "program").write_text("x")
    (made / "program").chmod(0o755)
    (made / "link").symlink_to("/etc/passwd")
    git("add", ".", cwd=made)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub module", cwd=made)
    git("commit", "-q", "-m", "x", cwd=made)
    git("clone", "-q", "--bare", "made", "project.git", cwd=tmp_path)
    return tmp_path / "project.git"


def test_a_bare_repository_and_a_clone_give_the_same(project: Path, tmp_path: Path) -> None:
    git("clone", "-q", str(project), "clone", cwd=tmp_path)
    git("checkout", "-q", "-b", "main", cwd=tmp_path / "clone")
    git("branch", "-q", "-D", BRANCH, cwd=tmp_path / "clone")
    read = fetch(str(project), BRANCH)
    assert fetch(str(tmp_path / "clone"), BRANCH) == fetch(project.as_uri(), BRANCH) == read
    assert read.content["plain"] == b"\x00\xff"
    assert read.content["link"] == b"/etc/passwd"
    assert read.modes == {"link": "120000", "plain": "100644", "program": "100755", "sub module": "160000"}


def test_what_cannot_be_read_is_told(project: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no branch factory/none"):
        fetch(str(project), "factory/none")
    for source in (str(tmp_path / "nothing"), "http://127.0.0.1:9/x.git", "--upload-pack=touch x", "ext::touch x"):
        with pytest.raises(Unreachable):
            fetch(source, BRANCH)
