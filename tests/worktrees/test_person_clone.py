"""The person's own clone: its remote and credential helper, its branch, and what it pushes."""

from pathlib import Path

import pytest

from factory.errors import Conflict, Refused
from factory.worktrees.person_clone import PersonClone
from tests.servers import TOOL_ENV, git

URL = "http://127.0.0.1:8080/acme/shop.git"
HELPER = "!factory git-credential"


@pytest.fixture
def clone(tmp_path: Path) -> PersonClone:
    folder = tmp_path / "shop"
    git("init", "-q", "-b", "main", str(folder), cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=folder)
    return PersonClone(folder, {**TOOL_ENV, "HOME": str(tmp_path)})


def config(clone: PersonClone, *names: str) -> list[str]:
    return git("config", "--local", "--get-all", *names, cwd=clone.path, check=False).stdout.splitlines()


def remotes(clone: PersonClone) -> str:
    return git("remote", "-v", cwd=clone.path).stdout


def test_a_clone_without_remote_gets_origin_and_a_helper_for_its_server_alone(clone: PersonClone) -> None:
    assert clone.connect("default", URL, HELPER) == "origin"
    assert clone.connect("default", URL, HELPER) == "origin"
    assert config(clone, "remote.origin.url") == [URL]
    assert config(clone, "credential.http://127.0.0.1:8080.helper") == ["", HELPER]
    assert clone.remote("default") == "origin"


def test_another_origin_stays_and_a_server_with_a_new_address_is_followed(clone: PersonClone) -> None:
    git("remote", "add", "origin", "https://example.com/upstream/shop.git", cwd=clone.path)
    assert clone.connect("default", URL, HELPER) == "factory"
    assert clone.connect("gitlab", "https://gitlab.example/acme/shop.git", HELPER) == "factory-gitlab"
    moved = URL.replace("8080", "9090")
    assert clone.connect("default", moved, HELPER) == "factory"
    assert config(clone, "remote.factory.url") == [moved]
    assert config(clone, "remote.origin.url") == ["https://example.com/upstream/shop.git"]


@pytest.mark.parametrize(
    "address",
    [
        "git@gitlab.example:acme/shop.git",
        "ssh://git@gitlab.example/acme/shop",
        "https://GitLab.example/acme/shop.git/",
        "https://me@gitlab.example/acme/shop",
    ],
)
def test_a_remote_that_leads_to_the_project_stays_as_it_is(clone: PersonClone, address: str) -> None:
    git("remote", "add", "origin", address, cwd=clone.path)
    assert clone.connect("default", "https://gitlab.example/acme/shop.git", HELPER) == "origin"
    assert address in remotes(clone)


@pytest.mark.parametrize(
    "address",
    [
        "https://gitlab.example/acme/shop2.git",
        "https://gitlab.example:8443/acme/shop.git",
        "https://other.example/acme/shop.git",
        "/srv/git/shop.git",
    ],
)
def test_a_remote_that_leads_elsewhere_is_another(clone: PersonClone, address: str) -> None:
    git("remote", "add", "origin", address, cwd=clone.path)
    assert clone.connect("default", "https://gitlab.example/acme/shop.git", HELPER) == "factory"


def test_a_name_that_is_taken_is_told(clone: PersonClone) -> None:
    for name in ("origin", "factory"):
        git("remote", "add", name, f"https://example.com/{name}.git", cwd=clone.path)
    with pytest.raises(Conflict, match="the remote factory of"):
        clone.connect("default", URL, HELPER)
    with pytest.raises(Refused, match="no remote"):
        clone.remote("default")


def test_a_change_needs_a_branch_of_its_own(clone: PersonClone) -> None:
    with pytest.raises(Refused, match="this is main"):
        clone.branch()
    git("checkout", "-q", "--detach", cwd=clone.path)
    with pytest.raises(Refused, match="this is no branch"):
        clone.branch()
    git("checkout", "-qb", "mine", cwd=clone.path)
    assert clone.branch() == "mine"


def test_what_a_branch_has_is_counted_pushed_and_checked_out_again(clone: PersonClone, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(clone.path), str(bare), cwd=tmp_path)
    git("remote", "add", "origin", str(bare), cwd=clone.path)
    git("checkout", "-qb", "mine", cwd=clone.path)
    (clone.path / "a").write_text("one\ntwo\n")
    git("add", "a", cwd=clone.path)
    git("commit", "-qm", "Add a\n\nBecause.", cwd=clone.path)
    git("commit", "-q", "--allow-empty", "-m", "More", cwd=clone.path)
    (clone.path / "a").write_text("changed\n")
    found = clone.ahead("origin")
    assert found.commits == (("Add a", "Because."), ("More", ""))
    assert (found.files, found.added, found.removed, found.behind) == (1, 2, 0, 0)
    assert clone.uncommitted() == 1
    clone.push("origin", "mine")
    assert git("rev-parse", "mine", cwd=bare).stdout == git("rev-parse", "HEAD", cwd=clone.path).stdout
    git("branch", "-q", "theirs", "main", cwd=clone.path)
    git("push", "-q", "origin", "theirs", cwd=clone.path)
    with pytest.raises(Refused, match="git switch failed"):
        clone.checkout("origin", "theirs")
    git("checkout", "-q", "a", cwd=clone.path)
    clone.checkout("origin", "theirs")
    assert clone.branch() == "theirs"
    with pytest.raises(Refused, match="git fetch failed"):
        clone.checkout("origin", "no-such-branch")


def test_a_push_that_is_refused_gives_gits_reason(clone: PersonClone, tmp_path: Path) -> None:
    git("remote", "add", "origin", str(tmp_path / "missing.git"), cwd=clone.path)
    with pytest.raises(Refused, match="git push failed"):
        clone.push("origin", "mine")


def test_a_push_after_a_rebase_is_refused_with_the_command_that_replaces_the_branch(
    clone: PersonClone, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(clone.path), str(bare), cwd=tmp_path)
    git("remote", "add", "origin", str(bare), cwd=clone.path)
    git("switch", "-qc", "mine", cwd=clone.path)
    git("commit", "-q", "--allow-empty", "-m", "Mine", cwd=clone.path)
    clone.push("origin", "mine")
    git("commit", "-q", "--allow-empty", "--amend", "-m", "Mine, again", cwd=clone.path)
    with pytest.raises(Conflict, match="origin has commits of mine that this checkout lacks") as told:
        clone.push("origin", "mine")
    assert "`git push --force-with-lease origin mine`" in told.value.hint
    git("push", "-q", "--force-with-lease", "origin", "mine", cwd=clone.path)
    clone.push("origin", "mine")
    assert git("rev-parse", "mine", cwd=bare).stdout == git("rev-parse", "HEAD", cwd=clone.path).stdout


def test_a_push_that_a_hook_of_the_server_refuses_gives_the_hooks_reason(clone: PersonClone, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git("clone", "-q", "--bare", str(clone.path), str(bare), cwd=tmp_path)
    hook = bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'You may not push here.' >&2\nexit 1\n")
    hook.chmod(0o755)
    git("remote", "add", "origin", str(bare), cwd=clone.path)
    git("commit", "-q", "--allow-empty", "-m", "Mine", cwd=clone.path)
    with pytest.raises(Refused, match="You may not push here"):
        clone.push("origin", "mine")
