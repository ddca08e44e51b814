"""A patch between two commits makes the same bytes again, whatever the files hold."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.errors import Refused
from factory.worktrees import patch
from tests.servers import git

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(str.encode)
LINES = st.lists(st.sampled_from(["a", "-- a", "++ b", "diff --git a/x b/x", "@@ -1 +1 @@", "", "é", "a\r"])).map(
    lambda lines: "\n".join(lines).encode()
)
BINARY = st.binary(min_size=1, max_size=40).map(lambda data: b"\0" + data)
FILES = st.dictionaries(st.sampled_from(["a", "b c", "d/é", "e-f"]), TEXT | LINES | BINARY, max_size=3)


def commit(folder: Path, files: dict[str, bytes]) -> str:
    # An earlier example may have left files that git does not know.
    git("rm", "-rfq", "--ignore-unmatch", ".", cwd=folder)
    git("clean", "-fdxq", cwd=folder)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder).stdout.strip()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES)
def test_applying_it_gives_the_same_bytes(tmp_path: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    folder = tmp_path / "repository"
    folder.mkdir(exist_ok=True)
    git("init", "-q", cwd=folder)
    base, head = commit(folder, before), commit(folder, after)
    made = patch.between(folder, base, head)
    assert (made == "") == (before == after)
    git("checkout", "-q", "--detach", base, cwd=folder)
    if made:
        subprocess.run(["git", "apply", "--recount", "-"], cwd=folder, input=made.encode(), check=True)
    assert tree(folder) == after


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    git("init", "-q", cwd=tmp_path)
    base, head = commit(tmp_path, {"a": b"x"}), commit(tmp_path, {"a": b"caf\xe9\n"})
    with pytest.raises(Refused, match="'a': line 7 of the patch is not UTF-8"):
        patch.between(tmp_path, base, head)


def test_a_patch_of_more_than_64_mib_is_refused(tmp_path: Path) -> None:
    git("init", "-q", cwd=tmp_path)
    base, head = commit(tmp_path, {"a": b"x"}), commit(tmp_path, {"a": b"0123456\n" * 2**23})
    with pytest.raises(Refused, match=r"has more than 64 MiB$"):
        patch.between(tmp_path, base, head)
