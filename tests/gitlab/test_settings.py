"""Settings of a real project on the loopback GitLab, on both tiers: from nothing, by hand, half-way, and adopted."""

import itertools
from collections.abc import Iterator
from typing import Any

import gitlab
import pytest
import requests

from factory.errors import Refused, Unreachable
from factory.gitlab import runners
from factory.gitlab.connect import Connection, connect
from factory.gitlab.settings import compare, run
from factory.gitlab.settings.model import Section, Server
from factory.gitlab.settings.run import SECTIONS, DesiredSection
from factory.gitlab.settings.variables import Fingerprint
from factory.model.secret import Secret
from factory.policies import read
from factory.workflow.drift import desired_settings
from tests.flaky_proxy import WRITES, Fate, between
from tests.servers import ROOT, LocalGitlab

_FILES = {f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")}
MORE = b"""
labels: {later: {color: '#00ff00', description: not now}}
hooks: {'https://hooks.example/x': {events: [push, pipeline], secret_token: true}}
variables: {COLOUR: {value: green}, 'COLOUR staging': {value: blue, protected: true}}
push_rule: {commit_message_regex: '^[A-Z]', prevent_secrets: true, max_file_size: 5}
"""
PROJECT = b"project:\n  issues_template: What is wanted?\n  merge_commit_template: '%{title}'\n"
GITLAB = _FILES["policies/gitlab.yml"].replace(b"variables: {}\n", b"").replace(b"project:\n", PROJECT) + MORE
FILES = _FILES | {"policies/gitlab.yml": GITLAB}
# Values that GitLab takes beside the one that is wanted.
OTHERS: dict[str, Any] = {
    "ci_pipeline_variables_minimum_override_role": "developer",
    "merge_method": "merge",
    "squash_option": "always",
    "ci_config_path": "other.yml",
    "color": "#123456",
    "description": "changed",
    "process_mode": "unordered",
    "ref": "other",
    "cron": "1 1 * * *",
    "timezone": "Europe/Berlin",
    "role": "reporter",
    "events": ["push"],
    "secret_token": False,
    "tags": ["other"],
    "value": Fingerprint("red"),
    "commit_message_regex": "^x",
    "issues_template": "changed",
    "merge_commit_template": "changed",
    "approvals": {"maintainer": 2},
}

NUMBERS = itertools.count(1)


class World:
    """A project, its accounts, and what is wanted of it."""

    def __init__(self, server: LocalGitlab, *, url: str = "", **given: Any) -> None:
        self.server, self.url = server, url or server.url
        self.project = server.project({"README": "x"}, **given)
        self.names, self.connections = {}, {}
        for name, level in (("operator", 40), ("factory-bot", 40), ("factory-agent", 30)):
            user, token = server.user(name)
            self.names[name] = user.username
            if name != "factory-agent":
                self.project.members.create({"user_id": user.id, "access_level": level})
            self.connections[name] = self._connect(user.username, token)
        self.root = self._connect("root", server.root_token)
        self.policies = read.read(FILES)
        for name, fields in desired_settings.runners(self.policies).items():
            runners.register(self.root, name, {**fields, "paused": True})

    def _connect(self, account: str, token: str) -> Connection:
        return connect(self.url, self.project.path_with_namespace, account=account, token=token)

    def opened(self) -> Server:
        acting = {self.names[name]: connection for name, connection in self.connections.items()}
        return run.opened(self.root, acting=acting, hook_token=lambda: Secret("hook"))

    def wanted(self) -> dict[str, DesiredSection]:
        return desired_settings.wanted(self.policies, project=self.project.path_with_namespace, accounts=self.names)

    def apply(self) -> run.Plan:
        return run.apply(self.opened(), self.wanted(), say=lambda _: None)

    def plan(self) -> run.Plan:
        return run.plan(self.opened(), self.wanted())


@pytest.fixture(params=["premium", "free"])
def world(request: pytest.FixtureRequest, gitlab_server: LocalGitlab) -> World:
    return World(gitlab_server if request.param == "premium" else request.getfixturevalue("free_gitlab"))


@pytest.fixture(scope="module", params=["premium", "free"])
def settled(request: pytest.FixtureRequest, gitlab_server: LocalGitlab) -> World:
    made = World(gitlab_server if request.param == "premium" else request.getfixturevalue("free_gitlab"))
    assert made.apply().in_sync
    return made


def counted(world: World) -> list[str]:
    """Return a list that grows by the method of every request of the world's connections."""
    sent: list[str] = []

    def note(answer: requests.Response, *_: Any, **__: Any) -> None:
        sent.append(str(answer.request.method))

    for connection in (world.root, *world.connections.values()):
        connection.client.session.hooks["response"].append(note)
    return sent


def test_from_nothing_to_in_sync_and_again_to_nothing(world: World) -> None:
    first = world.plan()
    assert not first.in_sync
    assert first.fields > 40
    made = world.apply()
    assert made.in_sync, made.differences
    assert world.plan().in_sync
    sent = counted(world)
    assert world.apply().in_sync
    assert not set(sent) & WRITES
    assert len(sent) < 40


def test_every_field_that_free_lacks_is_named_with_what_stands_in(settled: World) -> None:
    plan = settled.plan()
    lost = {(item.section, item.key, item.field) for item in plan.unenforced}
    if plan.tier == "premium":
        assert lost == set()
        return
    wanted = settled.wanted()
    for section in SECTIONS:
        if section.premium and section.name in wanted:
            for key, fields in wanted[section.name].state.items():
                assert {(section.name, key, field) for field in fields} <= lost
    assert ("branches", "factory/evidence", "push") in lost
    assert all(item.substitute for item in plan.unenforced)


def fields_of(world: World) -> Iterator[tuple[Section, str, str, Any, dict[str, Any]]]:
    wanted = world.wanted()
    for section in SECTIONS:
        if section.name not in wanted or (section.premium and world.opened().tier == "free"):
            continue
        state, _ = compare.fitted(section, wanted[section.name].state, world.opened().tier)
        there = section.read(world.opened())
        for key, fields in state.items():
            for field, value in fields.items():
                if key in there:
                    yield section, key, field, value, {**there[key]}


def other(world: World, field: str, value: Any) -> Any:
    """Return another value that GitLab takes for a field."""
    made: dict[str, Any] = {
        "owner": "@" + world.names["operator"],
        "people": ["@" + world.names["factory-bot"]],
        "allowlist": [world.server.project().path_with_namespace] if field == "allowlist" else [],
        "create": ["nobody"],
        **OTHERS,
    }
    if field in made:
        return made[field]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else ["developer"]


@pytest.mark.long
def test_every_field_changed_by_hand_is_told_and_mended(settled: World) -> None:
    tried = 0
    settled.project.branches.create({"branch": "other", "ref": "main"})
    for section, key, field, value, there in list(fields_of(settled)):
        if field == "autoclose_referenced_issues":
            continue  # the loopback GitLab closes no issue by itself, so it takes only `false`
        changed = other(settled, field, value)
        section.write(settled.opened(), key, {**there, field: changed}, there)
        plan = settled.plan()
        told = [(item.section, item.key, item.field, item.kind) for item in plan.differences]
        assert told == [(section.name, key, field, "differs")], (section.name, key, field, told)
        assert settled.apply().in_sync
        tried += 1
    assert tried > 30


@pytest.mark.long
def test_every_key_taken_away_by_hand_is_told_and_made_again(settled: World) -> None:
    wanted = settled.wanted()
    for section in SECTIONS:
        lost = section.premium and settled.opened().tier == "free"
        if section.drop is None or section.name not in wanted or section.name == "members" or lost:
            continue
        there = section.read(settled.opened())
        for key in wanted[section.name].state:
            if key in there and key != "settings" and not section.maker(wanted[section.name].state[key]):
                section.drop(settled.opened(), key, there[key])
                assert {(item.section, item.key, item.kind) for item in settled.plan().differences} == {
                    (section.name, key, "missing")
                }
                assert settled.apply().in_sync


def test_what_nobody_named_stays_unless_it_is_enforced(world: World) -> None:
    world.project.labels.create({"name": "mine", "color": "#112233"})
    for name in ("release/*", "m*"):
        world.project.protectedbranches.create({"name": name, "push_access_level": 40})
    for name in ("v*", "*-1"):
        world.project.protectedtags.create({"name": name, "create_access_level": 30})
    world.project.variables.create({"key": "MINE", "value": "kept"})
    plan = world.plan()
    assert ("labels", "mine") in plan.unmanaged
    assert {("branches", "release/*"), ("tags", "v*")} <= set(plan.unmanaged)
    extra = {(item.section, item.key) for item in plan.differences if item.kind == "extra"}
    assert extra == {("branches", "m*"), ("tags", "*-1")}
    assert not extra & set(plan.unmanaged)
    world.apply()
    assert "mine" in {label.name for label in world.project.labels.list(get_all=True)}
    assert world.project.variables.get("MINE").value == "kept"
    branches = {rule.name for rule in world.project.protectedbranches.list(get_all=True)}
    tags = {rule.name for rule in world.project.protectedtags.list(get_all=True)}
    assert ("release/*" in branches, "m*" in branches, "v*" in tags, "*-1" in tags) == (True, False, True, False)


def enforcing(world: World, sections: bytes) -> None:
    enforced = FILES["policies/gitlab.yml"].replace(b"enforce: [", b"enforce: [" + sections + b", ")
    world.policies = read.read(FILES | {"policies/gitlab.yml": enforced})


def test_several_of_one_name_are_each_seen_and_those_that_nobody_asked_for_go(world: World) -> None:
    enforcing(world, b"hooks, schedules")
    assert world.apply().in_sync
    for _ in range(2):
        world.project.hooks.create({"url": "https://hooks.example/x", "job_events": True})
        world.project.pipelineschedules.create({"description": "drift", "ref": "main", "cron": "1 1 * * *"})
    extra = {(item.section, item.key) for item in world.plan().differences if item.kind == "extra"}
    doubled = [("hooks", "https://hooks.example/x"), ("schedules", "drift")]
    assert extra == {(section, f"{key} ({count})") for section, key in doubled for count in (2, 3)}
    assert world.apply().in_sync
    (hook,) = world.project.hooks.list(get_all=True)
    assert hook.pipeline_events
    (schedule,) = world.project.pipelineschedules.list(get_all=True)
    assert schedule.cron == "23 4 * * *"


def test_what_an_apply_can_t_make_is_named_with_what_does(world: World) -> None:
    assert {(item.section, item.maker) for item in world.plan().absent} == {
        ("variables", "factory secrets sync"),
        ("resource_groups", "the first job that names it"),
    }
    for runner in world.project.runners.list(get_all=True, type="project_type"):
        world.server.client().runners.delete(runner.id)
    gone = {item.key for item in world.plan().absent if item.maker == "factory gitlab runners register"}
    assert gone == {"factory-protected", "factory-merge-requests"}


def test_who_is_a_member_by_a_group_stays_and_is_named_after_all_else_is_done(gitlab_server: LocalGitlab) -> None:
    path = f"crew-{next(NUMBERS)}"
    group = gitlab_server.client().groups.create({"name": path, "path": path})
    helper, _ = gitlab_server.user("helper")
    group.members.create({"user_id": helper.id, "access_level": 30})
    world = World(gitlab_server, namespace_id=group.id)
    assert world.apply().in_sync
    enforcing(world, b"members, labels")
    other, _ = gitlab_server.user("other")
    world.project.members.create({"user_id": other.id, "access_level": 30})
    world.project.labels.create({"name": "mine", "color": "#112233"})
    with pytest.raises(Refused, match=helper.username) as refused:
        world.apply()
    assert "group" in str(refused.value)
    left = world.plan().differences
    assert {(item.section, item.key) for item in left} >= {("members", helper.username)}
    assert "mine" not in {label.name for label in world.project.labels.list(get_all=True)}


@pytest.mark.long
@pytest.mark.matrix(2)
@pytest.mark.parametrize("fate", ["429", "500", "502", "slow", "reset", "answer lost"])
def test_an_apply_that_breaks_anywhere_is_finished_by_the_next(gitlab_server: LocalGitlab, fate: Fate) -> None:
    left = 0

    def meets(method: str, path: str) -> Fate:
        nonlocal left
        del path
        left -= method in WRITES
        return fate if left < 0 and method in WRITES else "pass"

    with between(gitlab_server.url, slow=1.5) as proxy:
        world = World(gitlab_server, url=proxy.url)
        for connection in (world.root, *world.connections.values()):
            connection.client.timeout = 1.0 if fate == "slow" else 30.0
        proxy.fate, cut = meets, 0
        while True:
            left = 2
            try:
                plan = world.apply()
            except Unreachable:
                cut += 1
            else:
                assert plan.in_sync
                break
        assert cut > 5
        for connection in (world.root, *world.connections.values()):
            connection.client.timeout = 30.0
        assert world.plan().in_sync


def test_main_is_guarded_at_every_moment_while_its_rule_changes(world: World) -> None:
    assert world.apply().in_sync
    agent, token = world.server.user("pusher")
    world.project.members.create({"user_id": agent.id, "access_level": 30})
    pushing = gitlab.Gitlab(world.server.url, private_token=token).projects.get(world.project.id)
    tries: list[str] = []

    def push(answer: requests.Response, *_: Any, **__: Any) -> None:
        if answer.request.method in WRITES:
            action = {"action": "create", "file_path": f"f{len(tries)}", "content": "x"}
            with pytest.raises(gitlab.GitlabCreateError):
                pushing.commits.create({"branch": "main", "commit_message": "x", "actions": [action]})
            tries.append(str(answer.request.method))

    (section,) = (item for item in SECTIONS if item.name == "branches")
    there = section.read(world.opened())["main"]
    section.write(world.opened(), "main", {**there, "merge": ["admin"]}, there)
    world.root.client.session.hooks["response"].append(push)
    assert world.apply().in_sync
    assert tries
    assert not [name for name in section.read(world.opened()) if name == "main*"]


def test_a_cover_that_was_left_is_taken_away(free_gitlab: LocalGitlab) -> None:
    world = World(free_gitlab)
    world.apply()
    world.project.protectedbranches.create({"name": "main*", "push_access_level": 0, "merge_access_level": 0})
    assert not world.plan().in_sync
    assert world.apply().in_sync
    # And where the change that it was for was not made either.
    world.project.protectedbranches.create({"name": "main*", "push_access_level": 0, "merge_access_level": 0})
    world.project.protectedbranches.delete("main")
    world.project.protectedbranches.create({"name": "main", "push_access_level": 40, "merge_access_level": 30})
    assert world.apply().in_sync
    assert "main*" not in {rule.name for rule in world.project.protectedbranches.list(get_all=True)}
