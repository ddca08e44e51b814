"""``factory connect`` and ``factory gitlab`` by the real command line: create and adopt projects, on both tiers."""

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_refusals import assert_told
from tests.flaky_proxy import between
from tests.instances import Instance, make_instance
from tests.servers import PATIENCE, LocalGitlab, git, wait_for


class Here:
    """A clone, and two people's accounts on a server that is not the clone's own."""

    def __init__(self, folder: Path, server: LocalGitlab) -> None:
        self.instance: Instance = make_instance(folder)
        self.server = server
        self.operator, self.token = server.user("jane")
        self.bot, self.bot_token = server.user("jane-factory")
        self.path = f"{self.operator.username}/control"
        self.instance.bind(self.bot.username)
        self.printed = ""

    def below_a_group(self) -> None:
        """Put the project into a nested group of the operator."""
        groups = self.server.client(self.token).groups
        crew = groups.create({"name": "Crew", "path": f"crew-{self.operator.username}"})
        groups.create({"name": "tools", "path": "tools", "parent_id": crew.id})
        self.path = f"{crew.path}/tools/control"

    def run(self, *arguments: str, code: int = 0, stdin: str = "", **env: str) -> Any:
        done = self.instance.run("--instance", "gitlab", *arguments, check=False, stdin=stdin, **env)
        assert done.returncode == code, done.stdout + done.stderr
        self.printed += done.stdout + done.stderr
        return done

    def connect(self, *arguments: str, stdin: str, **more: Any) -> Any:
        return self.run("connect", self.server.url, "--project", self.path, *arguments, stdin=stdin, **more)

    def connected(self) -> dict[str, Any]:
        made = self.connect("--yes", "--json", stdin=self.token)
        return dict(json.loads(made.stdout))

    def project(self) -> Any:
        return self.server.client().projects.get(self.path)


@pytest.fixture(params=["premium", "free"])
def here(request: pytest.FixtureRequest, tmp_path: Path, gitlab_server: LocalGitlab) -> Here:
    return Here(tmp_path, gitlab_server if request.param == "premium" else request.getfixturevalue("free_gitlab"))


@pytest.mark.long
def test_a_new_project_with_one_account_and_then_with_two(here: Here, request: pytest.FixtureRequest) -> None:
    if "premium" in request.node.callspec.id:
        here.below_a_group()
    made = here.connected()
    assert (made["made"], made["pushed"], made["separation"]) == (True, True, "none")
    assert made["in_sync"], here.printed
    assert here.project().visibility == "private"
    assert here.project().files.get("policies/gitlab.yml", ref="main").file_name == "gitlab.yml"
    plan = json.loads(here.run("gitlab", "plan", "--json").stdout)
    assert (plan["in_sync"], plan["differences"]) == (True, [])
    assert bool(plan["unenforced"]) is (made["tier"] == "free")
    told = here.connect("--yes", stdin="").stdout
    assert "separation: none" in told
    # Main lists an account of their own: no service accounts are offered instead.
    assert "sign up" in told
    second = json.loads(here.connect("--bot", "--yes", "--json", stdin=here.bot_token).stdout)
    assert (second["made"], second["pushed"], second["separation"]) == (False, False, "two accounts")
    assert second["accounts"]["factory-bot"] == here.bot.username
    assert second["in_sync"], here.printed
    levels = {member.username: member.access_level for member in here.project().members.list(get_all=True)}
    assert levels[here.bot.username] == 40
    assert here.run("gitlab", "plan").returncode == 0
    for token in (here.token, here.bot_token):
        assert token not in here.printed
        for path in here.instance.state.rglob("*"):
            if path.is_file() and "sqlite" not in path.name:
                assert token.encode() not in path.read_bytes(), path
    assert not list(here.instance.state.rglob("webhook"))
    key = next((here.instance.state / "home").rglob("keys/*"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.long
def test_a_change_by_hand_is_shown_kept_in_one_issue_and_put_back(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    here.connected()
    project = here.project()
    project.merge_method = "merge"
    project.save()
    told = here.run("gitlab", "plan", code=2).stdout
    assert "merge_method" in told
    assert here.run("gitlab", "drift", code=2)
    assert here.run("gitlab", "drift", code=2)
    issues = project.issues.list(get_all=True)
    assert [(issue.title, issue.state) for issue in issues] == [("Drift: settings of the project", "opened")]
    assert "merge_method" in issues[0].description
    here.run("gitlab", "apply")
    assert here.run("gitlab", "drift").returncode == 0
    assert [issue.state for issue in project.issues.list(get_all=True)] == ["closed"]


@pytest.mark.long
def test_two_applies_at_once_do_each_change_once(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    here.connected()
    project = here.project()
    for name in ("main", "factory/evidence"):
        project.protectedbranches.delete(name)
        project.protectedbranches.create({"name": name, "push_access_level": 40, "merge_access_level": 30})
    argv = [sys.executable, "-P", "-m", "factory", "--instance", "gitlab", "gitlab", "apply"]
    both = [
        subprocess.Popen(argv, cwd=here.instance.clone, env=here.instance.env(), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted(text.count("branches: ") for text in told) == [0, 2]
    assert here.run("gitlab", "plan").returncode == 0


@pytest.mark.long
def test_of_two_at_once_one_connects_and_one_is_told(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    argv = [sys.executable, "-P", "-m", "factory", "--instance", "gitlab", "connect", here.server.url]
    argv += ["--project", here.path, "--yes"]
    env = here.instance.env(FACTORY_TOKEN_OPERATOR=here.token)
    both = [
        subprocess.Popen(
            argv, cwd=here.instance.clone, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 7], told
    refused = next(text for process, text in zip(both, told, strict=True) if process.returncode)
    assert "connect.lock" in refused
    assert "next: " in refused
    assert len(refused.splitlines()) == 2
    # The first one's work is whole: to connect again changes nothing.
    again = here.connected()
    assert (again["made"], again["pushed"], again["in_sync"]) == (False, False, True)
    assert [item.path_with_namespace for item in here.server.client(here.token).projects.list(owned=True)] == [
        here.path
    ]
    assert len(here.project().hooks.list(get_all=True)) <= 1
    assert here.project().mergerequests.list(get_all=True) == []


@pytest.mark.long
@pytest.mark.parametrize("point", ["projects", "git-receive-pack", "labels", "pipeline_schedules", "variables"])
def test_another_clone_connects_in_the_middle(tmp_path: Path, free_gitlab: LocalGitlab, point: str) -> None:
    """Just before one clone's first write of a kind, another clone, with another commit, connects to the project."""
    here = Here(tmp_path, free_gitlab)
    other = Instance(tmp_path / "other/clone", tmp_path / "other/state")
    git("clone", "-q", str(here.instance.clone), str(other.clone), cwd=tmp_path)
    (other.clone / ".tools").symlink_to(here.instance.clone / ".tools")
    git("commit", "-q", "--allow-empty", "-m", "one more", cwd=other.clone)
    connected: list[dict[str, Any]] = []

    def overtaken(method: str, path: str) -> None:
        if not connected and method == "POST" and path.endswith(f"/{point}"):
            connected.append(here.connected())

    connect = ("--instance", "gitlab", "connect")
    arguments = ("--project", here.path, "--yes", "--json")
    with between(free_gitlab.url) as proxy:
        proxy.before = overtaken
        done = other.run(*connect, proxy.url, *arguments, stdin=here.token)
    assert json.loads(done.stdout)["in_sync"]
    assert len(connected) == 1
    again = json.loads(other.run(*connect, here.server.url, *arguments, stdin=here.token).stdout)
    assert (again["made"], again["pushed"], again["in_sync"]) == (False, False, True)
    first, late = (git("rev-parse", "HEAD", cwd=at.clone).stdout.strip() for at in (here.instance, other))
    pushed_first = point in {"projects", "git-receive-pack"}
    assert here.project().branches.get("main").commit["id"] == (first if pushed_first else late)
    assert len(here.project().pipelineschedules.list(get_all=True)) == 1


@pytest.mark.long
def test_a_token_is_renewed_before_it_ends(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    soon = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    own = {"name": "soon", "scopes": ["api"], "expires_at": soon}
    short = free_gitlab.client().users.get(here.operator.id).personal_access_tokens.create(own).token
    renew = f"factory --instance gitlab connect {free_gitlab.url} --browser"
    told = here.connect("--yes", stdin=short).stdout
    assert [line for line in told.splitlines() if "ends on" in line] == [
        f"the token of {here.operator.username} ends on {soon}: renew it with `{renew}`"
    ]
    for command in (["status"], ["work", "--once"]):
        done = here.run(*command)
        assert f"ends on {soon}: renew it with `{renew}`" in done.stderr
    here.connect("--yes", "--browser", stdin=here.token, PATH="/usr/bin:/bin")
    assert "ends on" not in here.run("status").stderr
    mine = free_gitlab.client(here.token)
    own_token: Any = mine.http_get("/personal_access_tokens/self")
    mine.http_delete(f"/personal_access_tokens/{own_token['id']}")
    assert_told(here.run("status", code=9), 9, "HTTP 401", "connect URL --browser")


@pytest.mark.long
def test_a_project_made_by_hand_is_adopted_and_loses_nothing(tmp_path: Path, free_gitlab: LocalGitlab) -> None:
    here = Here(tmp_path, free_gitlab)
    client = here.server.client(here.token)
    made = client.projects.create({"name": "control"})
    action = {"action": "create", "file_path": "mine.txt", "content": "x"}
    made.commits.create({"branch": "main", "commit_message": "mine", "actions": [action]})
    made.labels.create({"name": "mine", "color": "#112233"})
    made.variables.create({"key": "MINE", "value": "kept"})
    made.hooks.create({"url": "https://hooks.example/mine"})
    made.protectedbranches.create({"name": "release/*", "push_access_level": 40, "merge_access_level": 40})
    made.protectedtags.create({"name": "v*", "create_access_level": 40})
    value = here.connected()
    assert (value["made"], value["pushed"], value["in_sync"]) == (False, False, True)
    assert made.files.get("mine.txt", ref="main").decode() == b"x"
    assert "mine" in {label.name for label in made.labels.list(get_all=True)}
    assert made.variables.get("MINE").value == "kept"
    assert made.protectedbranches.get("release/*").push_access_levels[0]["access_level"] == 40
    assert made.protectedtags.get("v*").create_access_levels[0]["access_level"] == 40
    assert [hook.url for hook in made.hooks.list(get_all=True)] == ["https://hooks.example/mine"]


@pytest.mark.long
def test_what_is_refused(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    here = Here(tmp_path, gitlab_server)
    assert_told(here.connect("--yes", stdin="glpat-wrong", code=9), 9, "HTTP 401")
    assert_told(here.connect(stdin=here.token, code=5), 5, "nobody can agree")
    assert_told(here.run("connect", "http://gitlab.example", stdin=here.token, code=3), 3, "is not an https URL")
    assert_told(here.run("connect", "http://127.0.0.1.example", stdin=here.token, code=3), 3, "is not an https URL")
    reader = here.operator.personal_access_tokens.create({"name": "r", "scopes": ["read_api"]}).token
    assert_told(here.connect("--yes", stdin=reader, code=5), 5, "it needs `api`")
    here.connected()
    assert_told(here.connect("--bot", "--yes", stdin=here.token, code=7), 7, "both tokens belong to")
    _, unbound = here.server.user("joe-factory")
    assert_told(here.connect("--bot", "--yes", stdin=unbound, code=5), 5, "does not list", "agents: [")
    _, stranger = gitlab_server.user("stranger")
    assert_told(here.connect("--yes", code=4, FACTORY_TOKEN_OPERATOR=stranger, stdin=""), 4, "no group jane")
    assert_told(here.run("gitlab", "plan", code=1, FACTORY_TOKEN_OPERATOR="glpat-wrong"), 1, "HTTP 401")
    assert here.run("gitlab", "plan", "--nonsense", code=1)


def test_who_does_not_agree_to_the_second_account_stays_connected_as_before(
    tmp_path: Path, free_gitlab: LocalGitlab
) -> None:
    here = Here(tmp_path, free_gitlab)
    here.connected()
    assert_told(here.connect("--bot", stdin=here.bot_token, code=5), 5, "nobody can agree")
    status = json.loads(here.run("status", "--json").stdout)
    assert (status["project"], status["merge_requests"]) == (here.path, [])
    assert here.run("work", "--once")
    again = json.loads(here.connect("--bot", "--yes", "--json", stdin=here.bot_token).stdout)
    assert again["separation"] == "two accounts"


def test_a_server_that_does_not_answer_is_reported(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    here = Here(tmp_path, gitlab_server)
    done = here.run("connect", "http://127.0.0.1:9", "--project", "a/b", "--yes", stdin=here.token, code=8)
    assert_told(done, 8, "did not answer")
    assert list(here.instance.state.rglob("connection.json")) == []


def test_the_browser_opens_the_form_for_a_token(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    here = Here(tmp_path, gitlab_server)
    browser = tmp_path / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    here.connect("--browser", "--yes", stdin="glpat-wrong", code=9, PATH=f"{browser.parent}:/usr/bin:/bin")
    page = f"{gitlab_server.url}/-/user_settings/personal_access_tokens?name=factory&scopes=api"
    wait_for(lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text() == page)
