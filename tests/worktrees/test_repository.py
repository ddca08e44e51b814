"""The mirror and worktrees against the loopback GitLab, over HTTP."""

import os
import shutil
from pathlib import Path

import pytest

from factory.errors import Conflict, MachineError, Refused, Unreachable
from factory.worktrees import worktree
from factory.worktrees.repository import Author, Mirror
from tests.servers import LocalGitlab

BOT = Author("bot", "bot@localhost")


def _mirror(server: LocalGitlab, folder: Path) -> tuple[Mirror, str]:
    project = server.project({"a.txt": "1\n", "d/b.txt": "2\n"})
    project.protectedbranches.create({"name": "main", "push_access_level": 0, "merge_access_level": 40})
    mirror = Mirror(folder / "mirror.git", project.http_url_to_repo)
    mirror.ensure()
    mirror.fetch(server.root_token)
    return mirror, server.root_token


def test_push_is_a_compare_and_swap(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, token = _mirror(gitlab_server, tmp_path)
    first = mirror.commit({}, parent=None, message="lease 1", author=BOT)
    rival = mirror.commit({}, parent=None, message="lease 2", author=BOT)
    mirror.push(first, "factory/leases/1", token)
    with pytest.raises(Conflict):
        mirror.push(rival, "factory/leases/1", token)
    mirror.push(first, "factory/leases/1", token)
    mirror.fetch(token)
    assert mirror.head("factory/leases/1") == first


def test_no_push_without_a_commit_deletes_a_branch(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, token = _mirror(gitlab_server, tmp_path)
    commit = mirror.commit({}, parent=None, message="lease", author=BOT)
    mirror.push(commit, "factory/leases/1", token)
    for nothing in ("", "main", commit[:39]):
        with pytest.raises(MachineError, match="is no commit"):
            mirror.push(nothing, "factory/leases/1", token)
    mirror.fetch(token)
    assert mirror.head("factory/leases/1") == commit


def test_a_commit_whose_text_breaks_off_is_an_error(
    gitlab_server: LocalGitlab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    real, fake = shutil.which("git"), tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\nif [ "$1" = fast-import ]; then head -n "$LINES_LEFT" | {real} "$@"; else exec {real} "$@"; fi\n'
    )
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    for lines in range(10):
        monkeypatch.setenv("LINES_LEFT", str(lines))
        with pytest.raises(MachineError, match="fast-import failed"):
            mirror.commit({"a": b"1"}, parent=None, message="m", author=BOT)


def test_protected_branch_refuses_by_its_hook(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, token = _mirror(gitlab_server, tmp_path)
    commit = mirror.commit({"x": b"y"}, parent=mirror.head("main"), message="m", author=BOT)
    with pytest.raises(Refused, match="protected branches"):
        mirror.push(commit, "main", token)


def test_wrong_token_and_no_server(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    with pytest.raises(Unreachable):
        mirror.fetch("wrong")
    with pytest.raises(Unreachable):
        Mirror(mirror.path, "http://127.0.0.1:9/x.git").fetch("any")


def test_commit_reads_back_and_removes(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    commit = mirror.commit({"n/c.txt": b"3", "a.txt": None}, parent=mirror.head("main"), message="m\n", author=BOT)
    assert mirror.tree(commit) == {"d/b.txt": b"2\n", "n/c.txt": b"3"}
    assert mirror.tree(commit, "n/") == {"n/c.txt": b"3"}
    assert mirror.read(commit, "n/c.txt") == b"3"


def test_worktree_is_put_back_and_committed(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    base = mirror.head("main")
    assert base
    path = tmp_path / "work"
    worktree.prepare(mirror, path, commit=base)
    (path / "a.txt").write_text("changed")
    (path / "new.txt").write_text("new")
    assert worktree.changed_paths(path) == ["a.txt", "new.txt"]
    worktree.prepare(mirror, path, commit=base)
    assert worktree.changed_paths(path) == []
    (path / "new.txt").write_text("new")
    text = worktree.message("title", "", {"Issue": "#1"})
    commit = worktree.commit_all(path, message=text, author=BOT)
    assert mirror.messages(f"{base}..{commit}") == [(commit, text.strip())]
    shown, longer = worktree.diff(path, base, commit, most=1000)
    assert "+new" in shown
    assert not longer
    assert worktree.diff(path, base, commit, most=20) == (shown[:20], True)
    worktree.remove(mirror, path)
    worktree.prepare(mirror, path, commit=commit)
    assert (path / "new.txt").read_text() == "new"


@pytest.mark.parametrize("name", ["apps/x/.git", "apps/x/.GIT", "bare"])
def test_a_repository_inside_the_worktree_is_refused(gitlab_server: LocalGitlab, tmp_path: Path, name: str) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    path = tmp_path / "work"
    worktree.prepare(mirror, path, commit=mirror.head("main") or "")
    folder = path / name
    for part in ("objects", "refs"):
        (folder / part).mkdir(parents=True)
    marker = tmp_path / "ran"
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text(f"[core]\n\tfsmonitor = touch {marker}\n")
    with pytest.raises(Refused):
        worktree.changed_paths(path)
    with pytest.raises(Refused):
        worktree.commit_all(path, message="m", author=BOT)
    worktree.prepare(mirror, path, commit=mirror.head("main") or "")
    assert not folder.exists()
    assert not marker.exists()


def test_a_replaced_link_is_refused(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    path = tmp_path / "work"
    worktree.prepare(mirror, path, commit=mirror.head("main") or "")
    (path / ".git").write_text("gitdir: /elsewhere\n")
    with pytest.raises(Refused):
        worktree.changed_paths(path)


@pytest.mark.parametrize("trick", ["attributes", "nested", "sparse"])
def test_what_git_cannot_add_is_refused_with_its_reason(gitlab_server: LocalGitlab, tmp_path: Path, trick: str) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    path = tmp_path / "worktree"
    worktree.prepare(mirror, path, commit=mirror.head("main") or "")
    reason = {"attributes": "BOM is required", "nested": "nested folders", "sparse": "a file may have"}[trick]
    if trick == "attributes":
        (path / ".gitattributes").write_text("*.txt working-tree-encoding=UTF-16\n")
        (path / "a.txt").write_text("x")
    elif trick == "nested":
        path.joinpath(*["d"] * 900).mkdir(parents=True)
    else:
        with (path / "sparse").open("wb") as file:
            file.truncate(2**40)
    assert worktree.state(path) == worktree.state(path)
    with pytest.raises(Refused, match=reason):
        worktree.commit_all(path, message="m", author=BOT)
    worktree.prepare(mirror, path, commit=mirror.head("main") or "")
    assert worktree.changed_paths(path) == []


def test_a_worktree_with_names_and_lines_in_another_encoding_has_a_digest(
    gitlab_server: LocalGitlab, tmp_path: Path
) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    path = tmp_path / "worktree"
    worktree.prepare(mirror, path, commit=str(mirror.head("main")))
    before = worktree.state(path)
    (path / "a.txt").write_bytes(b"caf\xe9\n")
    between = worktree.state(path)
    Path(os.fsdecode(bytes(path) + b"/caf\xe9")).touch()
    assert len({before, between, worktree.state(path)}) == 3


def test_a_worktree_whose_making_was_killed_is_made_again(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, _ = _mirror(gitlab_server, tmp_path)
    head = mirror.head("main") or ""
    worktree.prepare(mirror, tmp_path / "work", commit=head)
    (entry,) = (mirror.path / "worktrees").iterdir()
    (entry / "locked").write_text("initializing")
    shutil.rmtree(tmp_path / "work")
    worktree.prepare(mirror, tmp_path / "work", commit=head)
    assert (tmp_path / "work/a.txt").read_text() == "1\n"


def test_locks_of_a_killed_git_stop_no_later_one(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    mirror, token = _mirror(gitlab_server, tmp_path)
    worktree.prepare(mirror, tmp_path / "work", commit=mirror.head("main") or "")
    (entry,) = (mirror.path / "worktrees").iterdir()
    locks = [
        *(mirror.path / name for name in ("config.lock", "packed-refs.lock", "refs/remotes/origin/main.lock")),
        entry / "index.lock",
    ]
    for lock in locks:
        lock.write_text("")
        os.utime(lock, (0, 0))
    young = mirror.path / "refs/remotes/origin/other.lock"
    young.write_text("")
    mirror.ensure()
    assert [lock for lock in (*locks, young) if lock.exists()] == [entry / "index.lock", young]
    mirror.fetch(token)
    worktree.prepare(mirror, tmp_path / "work", commit=mirror.head("main") or "")
    assert not (entry / "index.lock").exists()
