"""``factory connect`` for a project in a group: two service accounts, renewed, finished after a kill, refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory.gitlab.namespace.service_accounts import username
from tests.cli.gitlab.test_connect import Here
from tests.cli.test_refusals import assert_told
from tests.flaky_proxy import between
from tests.instances import Instance
from tests.servers import LocalGitlab, git


class InAGroup(Here):
    """A project in a nested group of the operator."""

    def __init__(self, folder: Path, server: LocalGitlab) -> None:
        super().__init__(folder, server)
        self.below_a_group()
        git("reset", "-q", "--hard", "HEAD^", cwd=self.instance.clone)
        self.names = [username(self.path, f"factory-{role}") for role in ("bot", "agent")]

    def listed(self) -> None:
        """List both accounts in the clone's policies, before main is pushed."""
        for name in self.names:
            self.instance.bind(name)

    @property
    def accounts(self) -> dict[str, Any]:
        group = self.server.client(self.token).groups.get(self.path.partition("/")[0])
        return {item.username: item for item in group.service_accounts.list(get_all=True)}

    def tokens(self) -> dict[str, list[int]]:
        """Return the numbers of the valid tokens of each account."""
        return {
            name: [token.id for token in item.access_tokens.list(get_all=True) if token.active]
            for name, item in self.accounts.items()
        }


@pytest.fixture(params=["premium", "free"])
def here(request: pytest.FixtureRequest, tmp_path: Path, gitlab_server: LocalGitlab) -> InAGroup:
    return InAGroup(tmp_path, gitlab_server if request.param == "premium" else request.getfixturevalue("free_gitlab"))


@pytest.mark.long
def test_main_lists_the_accounts_before_they_are_made(here: InAGroup) -> None:
    first = here.connected()
    assert (first["separation"], here.accounts) == ("none", {})
    project = here.project()
    [request] = project.mergerequests.list(get_all=True)
    assert request.author["username"] == here.operator.username
    assert f"!{request.iid} lists {' and '.join(here.names)}" in first["next"]
    text = project.files.get("policies/scope.yml", ref=request.source_branch).decode().decode()
    assert f"agents: [factory-agent, {', '.join(here.names)}]" in text
    again = here.connect("--yes", stdin="").stdout
    assert "sign up" not in again
    assert len(project.mergerequests.list(get_all=True)) == 1
    change = {"action": "update", "file_path": "policies/scope.yml", "content": text}
    project.protectedbranches.delete("main")
    project.commits.create({"branch": "main", "commit_message": "List the accounts", "actions": [change]})
    project.protectedbranches.create({"name": "main", "push_access_level": 0, "merge_access_level": 40})
    assert here.connect("--json", stdin="").returncode == 0
    assert here.accounts == {}
    made = json.loads(here.connect("--yes", "--json", stdin="").stdout)
    assert (made["separation"], made["in_sync"]) == ("apart", True), here.printed
    assert [made["accounts"][role] for role in ("factory-bot", "factory-agent")] == here.names


@pytest.mark.long
def test_two_accounts_with_roles_and_kept_tokens_and_no_others_the_second_time(here: InAGroup) -> None:
    here.listed()
    made = here.connected()
    assert (made["separation"], made["in_sync"]) == ("apart", True), here.printed
    for name in here.names:
        assert f"{name}: new service account, role" in here.printed
    members = {member.username: member.access_level for member in here.project().members.list(get_all=True)}
    assert [members[name] for name in here.names] == [40, 30]
    assert here.run("gitlab", "plan").returncode == 0
    tokens = here.tokens()
    assert [len(found) for found in tokens.values()] == [1, 1]
    here.connect("--yes", stdin="")
    assert here.tokens() == tokens
    assert "glpat-" not in here.printed
    for path in here.instance.state.rglob("*"):
        assert not path.is_file() or "sqlite" in path.name or b"glpat-local" not in path.read_bytes(), path


@pytest.mark.long
def test_a_rejected_token_and_one_that_ends_soon_are_replaced(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = InAGroup(tmp_path, free_gitlab)
    here.listed()
    here.connected()
    before = here.tokens()
    bot, agent = here.names
    here.accounts[bot].access_tokens.delete(before[bot][0])
    here.connect("--yes", stdin="")
    after = here.tokens()
    assert len(after[bot]) == 1
    assert (after[bot] != before[bot], after[agent]) == (True, before[agent])
    assert here.run("gitlab", "plan").returncode == 0


@pytest.mark.long
def test_a_token_that_nobody_kept_is_revoked_by_the_next_run(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = InAGroup(tmp_path, free_gitlab)
    here.listed()
    here.connected()
    before = here.tokens()
    # As after a kill between the answer of GitLab and the write of the file.
    next(here.instance.state.rglob("accounts.json")).unlink()
    next(here.instance.state.rglob("connection.json")).unlink()
    here.connected()
    assert [len(found) for found in here.tokens().values()] == [1, 1]
    assert not any(set(before[name]) & set(found) for name, found in here.tokens().items())


@pytest.mark.long
def test_none_are_offered_where_main_lists_an_account_of_ones_own(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = InAGroup(tmp_path, free_gitlab)
    here.instance.bind(here.bot.username)
    first = here.connected()
    assert (first["next"], here.accounts, here.project().mergerequests.list(get_all=True)) == ("", {}, [])
    assert "sign up" in here.connect("--yes", stdin="").stdout


@pytest.mark.long
def test_where_there_are_none_the_other_ways_stay(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    assert here.connected()["next"] == ""
    assert "sign up" in here.connect("--yes", stdin="").stdout
    other = InAGroup(tmp_path / "other", free_gitlab)
    other.listed()
    taken = {"username": other.names[1], "name": "Taken", "email": "taken@localhost"}
    free_gitlab.client().users.create(taken)
    refused = other.connect("--yes", stdin=other.token, code=5)
    assert_told(refused, 5, f"GitLab made no service account {other.names[1]}", "--bot")
    scope = other.instance.clone / "policies/scope.yml"
    assert scope.exists()
    assert git("status", "--porcelain", cwd=other.instance.clone).stdout == ""


def overtaken(here: InAGroup, point: str, *, after: str = "") -> tuple[Instance, dict[str, Any], dict[str, Any]]:
    """Connect in another clone, and in ``here`` just before its first write to ``point`` after one to ``after``.

    Return the other clone, and what the first and the other connection came to.
    """
    other = Instance(here.instance.clone.parent / "other/clone", here.instance.state.parent / "other/state")
    git("clone", "-q", str(here.instance.clone), str(other.clone), cwd=here.instance.clone.parent)
    (other.clone / ".tools").symlink_to(here.instance.clone / ".tools")
    connected: list[dict[str, Any]] = []
    written = [""]

    def before(method: str, path: str) -> None:
        if method != "POST":
            return
        if not connected and after in written and path.endswith(f"/{point}"):
            connected.append(here.connected())
        written.append(path.rpartition("/")[2])

    with between(here.server.url) as proxy:
        proxy.before = before
        arguments = ("connect", proxy.url, "--project", here.path, "--yes", "--json")
        done = other.run("--instance", "gitlab", *arguments, check=False, stdin=here.token)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(connected) == 1
    return other, connected[0], dict(json.loads(done.stdout))


@pytest.mark.long
@pytest.mark.parametrize("point", ["service_accounts", "personal_access_tokens"])
def test_two_clones_at_once_share_the_accounts_and_have_tokens_of_their_own(
    tmp_path: Path, free_gitlab: LocalGitlab, point: str
) -> None:
    here = InAGroup(tmp_path, free_gitlab)
    here.listed()
    other, first, second = overtaken(here, point)
    assert [made["separation"] for made in (first, second)] == ["apart", "apart"]
    assert first["accounts"] == second["accounts"]
    tokens = here.tokens()
    assert sorted(tokens) == sorted(here.names)
    assert [len(found) for found in tokens.values()] == [2, 2]
    for instance in (here.instance, other):
        again = ("connect", free_gitlab.url, "--project", here.path, "--yes", "--json")
        kept = instance.run("--instance", "gitlab", *again, stdin=here.token)
        assert json.loads(kept.stdout)["in_sync"]
    assert here.tokens() == tokens


@pytest.mark.long
@pytest.mark.parametrize("point", ["git-receive-pack", "merge_requests"])
def test_two_clones_at_once_open_one_merge_request(tmp_path: Path, free_gitlab: LocalGitlab, point: str) -> None:
    here = InAGroup(tmp_path, free_gitlab)
    # The first push is that of main, and after it the CI variable of the trust root is set.
    _, first, second = overtaken(here, point, after="variables")
    [request] = here.project().mergerequests.list(get_all=True)
    assert first["next"] == second["next"]
    assert f"!{request.iid} lists" in first["next"]
