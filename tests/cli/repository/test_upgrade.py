"""``factory upgrade --from``: a repository that has a copy of the factory's source, changed and upgraded."""

import shutil
from pathlib import Path

import pytest

from factory.worktrees import upgrade
from factory.worktrees.repository import Mirror
from tests.cli.test_refusals import assert_told
from tests.instances import Instance
from tests.servers import ROOT, LocalGitlab, git, with_token

BUDGETS = "policies/budgets.yml"


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of the toolkit's repository with the working tree committed."""
    folder = tmp_path_factory.mktemp("toolkit") / "factory"
    git("clone", "-q", "--no-tags", str(ROOT), str(folder), cwd=ROOT)
    for name in git("ls-files", "-z", cwd=ROOT).stdout.strip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            (folder / name).unlink(missing_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "as it is", cwd=folder)
    return folder


def instance(clone: Path, state: Path) -> Instance:
    for name in (".venv", ".tools"):
        if not (clone / name).is_symlink():
            shutil.rmtree(clone / name, ignore_errors=True)
            (clone / name).symlink_to(ROOT / name)
    (clone / ".git/info/exclude").write_text(".venv\n.tools\n")
    git("update-index", "--skip-worktree", *git("ls-files", ".tools", cwd=clone).stdout.split(), cwd=clone)
    for key, value in (("user.name", "Jane"), ("user.email", "jane@example.com")):
        git("config", key, value, cwd=clone)
    return Instance(clone, state)


@pytest.fixture
def mine(tmp_path: Path, toolkit: Path) -> Instance:
    """Return a control repository that has a release as its first commit, and that its owner changed."""
    scratch, clone = Mirror(tmp_path / "scratch", ""), tmp_path / "mine"
    scratch.ensure()
    release = upgrade.import_(scratch, str(toolkit), ref="HEAD", parent=None)
    clone.mkdir()
    git("init", "-q", "-b", "main", cwd=clone)
    git("fetch", "-q", str(scratch.path), release.commit, cwd=clone)
    git("reset", "-q", "--hard", release.commit, cwd=clone)
    found = instance(clone, tmp_path / "state")
    change(found.clone, BUDGETS, lambda text: text.replace("tokens: 6000000", "tokens: 50000"))
    return found


def change(clone: Path, name: str, how: object) -> str:
    path = clone / name
    before = path.read_text() if path.exists() else ""
    assert callable(how)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(how(before))
    assert path.read_text() != before
    git("add", name, cwd=clone)
    git("commit", "-qm", f"change {name}", cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone).stdout.strip()


@pytest.fixture
def newer(tmp_path: Path, toolkit: Path) -> Path:
    """Return the toolkit's next release."""
    folder = tmp_path / "newer"
    git("clone", "-q", str(toolkit), str(folder), cwd=tmp_path)
    change(folder, "factory/__init__.py", lambda text: text.replace('"0.1.0"', '"0.2.0"'))
    change(folder, "runbooks/new.md", lambda _: "# New\n")
    return folder


def read(clone: Path, revision: str, name: str) -> str:
    return git("show", f"{revision}:{name}", cwd=clone).stdout


@pytest.mark.long
def test_the_next_release_is_merged_with_the_owners_changes(mine: Instance, newer: Path) -> None:
    before = git("rev-parse", "HEAD", cwd=mine.clone).stdout
    done = mine.json("upgrade", "--from", str(newer))
    assert (done["from"], done["version"]) == ("0.1.0", "0.2.0")
    assert "tokens: 50000" in read(mine.clone, done["branch"], BUDGETS)
    assert read(mine.clone, done["branch"], "runbooks/new.md") == "# New\n"
    assert git("rev-parse", "HEAD", cwd=mine.clone).stdout == before
    assert git("status", "--porcelain", cwd=mine.clone).stdout == ""
    assert git("log", "-1", "--format=%an", done["branch"], cwd=mine.clone).stdout == "Jane\n"
    again = mine.json("upgrade", "--from", "../newer")
    assert again["branch"].startswith("upgrade/0.2.0-")
    git("merge", "-q", "--ff-only", done["branch"], cwd=mine.clone)
    assert mine.json("upgrade", "--from", str(newer)) == {"version": "0.2.0", "upgraded": False}
    change(newer, "runbooks/new.md", lambda text: text + "\nMore.\n")
    third = mine.json("upgrade", "--from", str(newer))
    assert read(mine.clone, third["branch"], "runbooks/new.md") == "# New\n\nMore.\n"
    assert "tokens: 50000" in read(mine.clone, third["branch"], BUDGETS)


@pytest.mark.long
def test_conflicts_are_listed_and_left_to_the_owner(mine: Instance, newer: Path) -> None:
    change(newer, BUDGETS, lambda text: text.replace("tokens: 6000000", "tokens: 7000000"))
    refused = mine.run("upgrade", "--from", str(newer), check=False)
    assert_told(refused, 7, BUDGETS, "git switch -c upgrade && git merge refs/factory/releases/0.2.0")
    assert git("branch", "--list", "upgrade*", cwd=mine.clone).stdout == ""
    git("switch", "-qc", "upgrade", cwd=mine.clone)
    assert git("merge", "-q", "refs/factory/releases/0.2.0", cwd=mine.clone, check=False).returncode == 1
    assert git("diff", "--name-only", "--diff-filter=U", cwd=mine.clone).stdout.split() == [BUDGETS]
    git("checkout", "-q", "--ours", BUDGETS, cwd=mine.clone)
    git("commit", "-qam", "decided", cwd=mine.clone)
    assert mine.json("upgrade", "--from", str(newer))["upgraded"] is False
    assert "tokens: 50000" in (mine.clone / BUDGETS).read_text()


@pytest.mark.long
def test_a_message_alone_is_no_release(mine: Instance, newer: Path) -> None:
    forged = f"Factory-Release: 9.9.9 {'0' * 40}"
    git("commit", "-q", "--allow-empty", "-m", f"x\n\n{forged}", cwd=mine.clone)
    assert mine.json("upgrade", "--from", str(newer))["from"] == "0.1.0"


@pytest.mark.long
def test_what_is_refused(mine: Instance, toolkit: Path, tmp_path: Path) -> None:
    assert_told(mine.run("upgrade", "--from", str(tmp_path / "none"), check=False), 4, "fetch")
    other = tmp_path / "other"
    other.mkdir()
    git("init", "-q", "-b", "main", cwd=other)
    change(other, "a.txt", lambda _: "x")
    assert_told(mine.run("upgrade", "--from", str(other), check=False), 3, "not a repository of")
    assert_told(mine.run("upgrade", "--from", "ext::sh -c true", check=False), 3, "not a path or URL")
    maker = Instance(toolkit, tmp_path / "state")
    assert_told(maker.run("upgrade", "--from", str(mine.clone), check=False), 4, "no copy of a release")


@pytest.mark.long
def test_an_upgrade_is_proposed_as_a_merge_request(mine: Instance, newer: Path, gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    url = with_token(f"{gitlab_server.url}/{project.path_with_namespace}.git", gitlab_server.root_token)
    git("push", "-q", url, "HEAD:refs/heads/main", cwd=mine.clone)
    env = {
        "FACTORY_GITLAB_URL": gitlab_server.url,
        "FACTORY_PROJECT": project.path_with_namespace,
        "FACTORY_TOKEN_OPERATOR": gitlab_server.root_token,
    }
    done = mine.json("upgrade", "--from", str(newer), "--propose", **env)
    request = project.mergerequests.get(done["merge_request"])
    assert request.title == "Upgrade the factory from 0.1.0 to 0.2.0"
    assert request.sha == done["commit"]
    changed = {item["new_path"] for item in request.changes()["changes"]}
    assert changed == {"factory/__init__.py", "runbooks/new.md"}
    request.state_event = "close"
    request.save()
    again = mine.json("upgrade", "--from", str(newer), "--propose", **env)
    assert (again["branch"], again["commit"]) == (done["branch"], done["commit"])
    assert project.mergerequests.get(again["merge_request"]).sha == done["commit"]
    git("commit", "-q", "--allow-empty", "-m", "later", cwd=mine.clone)
    refused = mine.run("upgrade", "--from", str(newer), "--propose", check=False, **env)
    assert_told(refused, 7, "already exists with other content", f"git branch -D {done['branch']}")
