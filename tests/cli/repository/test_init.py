"""``factory init DIR`` and ``factory infra add`` by the real command line: a company's repository, and its undo."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from factory.operations.repository import starter
from tests.cli.test_refusals import assert_told
from tests.instances import Instance
from tests.servers import PATIENCE, git


@pytest.fixture
def person(tmp_path: Path) -> Instance:
    """Return how to call the command in a folder, as somebody whom git knows."""
    made = Instance(tmp_path / "code", tmp_path / "state")
    made.clone.mkdir()
    (Path(made.env()["HOME"]) / ".gitconfig").write_text("[user]\nname = Jane\nemail = jane@example.com\n")
    return made


def company(person: Instance) -> Instance:
    person.run("init", "acme")
    return Instance(person.clone / "acme", person.state)


def tracked(clone: Path) -> set[str]:
    return set(git("ls-tree", "-r", "--name-only", "HEAD", cwd=clone).stdout.splitlines())


def test_a_companys_repository_is_one_commit_of_the_person(person: Instance) -> None:
    done = person.json("init", "../acme")
    acme = person.clone.parent / "acme"
    assert (Path(done["folder"]).resolve(), set(done["files"])) == (acme, tracked(acme))
    log = git("log", "--format=%H %an <%ae> %cn", "--all", cwd=acme).stdout.splitlines()
    assert log == [f"{done['commit']} Jane <jane@example.com> Jane"]
    assert git("branch", "--show-current", cwd=acme).stdout == "main\n"
    (acme / ".factory").mkdir()
    (acme / ".factory/x").touch()
    assert git("status", "--porcelain", cwd=acme).stdout == ""
    assert git("remote", cwd=acme).stdout == ""
    assert "policies/gates.yml" in Instance(acme, person.state).run("policy", "check").stdout
    made = person.run("init", "other").stdout
    assert "undo: rm -rf other\n" in made
    assert set(tracked(acme)) == set(starter.company("acme"))


def test_where_no_repository_is_made(person: Instance) -> None:
    (person.clone / "full").mkdir()
    (person.clone / "full/a").touch()
    (person.clone / "file").touch()
    (person.clone / "link").symlink_to("nowhere")
    for name in ("full", "file", "link", "."):
        assert_told(person.run("init", name, check=False), 7, "is not an empty folder", "does not exist")
    assert_told(person.run("init", "file/below", check=False), 10, "file")
    assert person.run("init", check=False).returncode == 2
    assert person.run("init", "x", "--here", check=False).returncode == 2
    (Path(person.env()["HOME"]) / ".gitconfig").unlink()
    assert_told(person.run("init", "acme", check=False), 3, "no user.name or user.email", "git config --global")
    assert sorted(path.name for path in person.clone.iterdir()) == ["file", "full", "link"]


def test_an_empty_folder_is_filled(person: Instance) -> None:
    (person.clone / "acme").mkdir()
    assert len(tracked(company(person).clone)) == len(starter.company("acme"))


@pytest.mark.parametrize("after", [0.2, 0.5])
def test_one_that_is_killed_leaves_no_folder_or_a_whole_one(person: Instance, after: float) -> None:
    argv = [sys.executable, "-P", "-m", "factory", "init", "acme"]
    running = subprocess.Popen(argv, cwd=person.clone, env=person.env(), stdout=subprocess.DEVNULL)
    time.sleep(after)
    running.send_signal(signal.SIGKILL)
    running.wait(PATIENCE)
    acme = person.clone / "acme"
    if acme.exists():
        assert tracked(acme) == set(starter.company("acme"))
    else:
        assert len(tracked(company(person).clone)) == len(starter.company("acme"))


def test_of_two_at_once_one_is_told_that_the_folder_exists(person: Instance) -> None:
    argv = [sys.executable, "-P", "-m", "factory", "init", "acme"]
    both = [
        subprocess.Popen(argv, cwd=person.clone, env=person.env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [running.communicate(timeout=PATIENCE)[1].decode() for running in both]
    assert sorted(running.returncode for running in both) == [0, 7]
    assert "is not an empty folder" in "".join(told)
    assert [path.name for path in person.clone.iterdir()] == ["acme"]


def test_infrastructure_is_added_on_a_branch_and_undone_by_the_printed_command(person: Instance) -> None:
    acme = company(person)
    before = tracked(acme.clone)
    done = acme.json("infra", "add", "acme.com")
    assert git("branch", "--show-current", cwd=acme.clone).stdout == "add-infrastructure\n"
    assert set(done["new"]) == tracked(acme.clone) - before
    assert len(tracked(acme.clone)) <= 60
    changed = git("diff", "--name-only", "--diff-filter=M", "main", cwd=acme.clone).stdout.split()
    assert sorted(done["changed"]) == changed
    assert git("remote", cwd=acme.clone).stdout == ""
    acme.run("policy", "check")
    assert_told(acme.run("infra", "add", "acme.com", check=False), 7, "has Terraform already", "adopt-zone")
    subprocess.run(done["undo"], shell=True, cwd=acme.clone, check=True, capture_output=True)
    assert tracked(acme.clone) == before
    assert git("branch", "--format=%(refname:short)", cwd=acme.clone).stdout == "main\n"
    assert_told(acme.run("infra", "add", "acme", check=False), 3, "is not a domain")


def test_the_factorys_own_files_of_a_company_are_taken_out(person: Instance) -> None:
    acme = company(person)
    acme.run("infra", "add", "acme.com")
    acme.run("eject")
    left = tracked(acme.clone)
    assert {".gitlab-ci.yml", "requirements-terraform.lock", "terraform/live/production/main.tf"} <= left
    assert not [path for path in left if path.startswith(".gitlab/")]


@pytest.fixture
def shop(person: Instance) -> Instance:
    """Return a Python app's repository of one commit on ``master``, with a feature branch that is checked out."""
    (person.clone / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (person.clone / "shop.py").write_text("PRICE = 1\n")
    git("init", "-q", "-b", "master", cwd=person.clone)
    git("add", "-A", cwd=person.clone)
    git("-c", "user.name=J", "-c", "user.email=j@example.com", "commit", "-qm", "start", cwd=person.clone)
    git("switch", "-qc", "feature", cwd=person.clone)
    return person


def unfinished(clone: Path) -> None:
    (clone / "shop.py").write_text("PRICE = 2\n")
    git("-c", "user.name=J", "-c", "user.email=j@example.com", "commit", "-qam", "unfinished", cwd=clone)


@pytest.mark.parametrize("remote", ["", "develop"])
def test_here_does_not_begin_on_a_branch_with_work_of_its_own(shop: Instance, remote: str) -> None:
    if remote:
        git("update-ref", "refs/remotes/origin/develop", "master", cwd=shop.clone)
        git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/develop", cwd=shop.clone)
        git("config", "remote.origin.url", "https://gitlab.example/a/b", cwd=shop.clone)
        git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", cwd=shop.clone)
    unfinished(shop.clone)
    name = remote or "master"
    refused = shop.run("init", "--here", check=False)
    assert_told(refused, 5, f"this is feature, not the default branch {name}", f"git switch {name}")
    git("switch", "-q", "--detach", cwd=shop.clone)
    assert_told(shop.run("init", "--here", check=False), 5, "this is no branch, not the default branch")
    assert git("branch", "--list", "init-factory", cwd=shop.clone).stdout == ""
    git("switch", "-q", name, cwd=shop.clone)
    shop.run("init", "--here")
    assert git("show", "HEAD:shop.py", cwd=shop.clone).stdout == "PRICE = 1\n"


def test_here_begins_on_a_branch_that_equals_the_default_one(shop: Instance) -> None:
    done = shop.json("init", "--here")
    assert done["undo"].startswith("git switch feature && ")
