"""``factory connect`` for a project in a group: two service accounts, renewed, finished after a kill, refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory.gitlab.namespace.service_accounts import username
from tests.cli.gitlab.test_connect import Here
from tests.cli.test_refusals import assert_told
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
