"""Pipeline schedules: their times, owners and variables, and that a restart neither loses nor repeats a run."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import gitlab
import pytest

from factory.errors import InvalidInput
from factory.local_gitlab.ci.schedules import next_run
from tests.servers import TOOL_ENV, LocalGitlab, expander, free_port, wait_for

DAILY = {"description": "drift", "ref": "main", "cron": "23 4 * * *"}
DEFINITION = """
workflow:
  rules: [{if: $ADMITTED != "no"}]
always: {script: ['echo "I look $WHERE"']}
scheduled: {script: [echo yes], rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]}
pushed: {script: [echo yes], rules: [{if: $CI_PIPELINE_SOURCE == "push"}]}
"""
PAST = "2020-01-01T04:23:00.000Z"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("23 4 * * *", "UTC", "2026-01-01T04:22:59Z", "2026-01-01T04:23:00Z"),
        ("23 4 * * *", "UTC", "2026-01-01T04:23:00Z", "2026-01-02T04:23:00Z"),
        ("0 9 * * MON-FRI", "UTC", "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"),
        ("0 9 * * *", "Europe/Berlin", "2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"),
        ("0 9 * * *", "Eastern Time (US & Canada)", "2026-03-08T06:00:00Z", "2026-03-08T13:00:00Z"),
        ("0 9 * * *", "London", "2026-07-01T00:00:00Z", "2026-07-01T08:00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
    ],
)
def test_the_next_run_is_the_first_match_of_the_expression(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_run(cron, zone, at(after)) == at(expected)


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("soon", "UTC"),
        ("* * * *", "UTC"),
        ("* * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("0 0 * * *", "Mars/Olympus"),
        ("0 0 * * *", "../../etc/passwd"),
        ("0 0 * * *", "Europe"),
    ],
)
def test_an_invalid_expression_or_time_zone_is_refused(cron: str, zone: str) -> None:
    with pytest.raises(InvalidInput):
        next_run(cron, zone, at("2026-01-01T00:00:00Z"))


def member(server: LocalGitlab, project: Any, name: str, level: int) -> Any:
    """Return a project as a new member sees it."""
    person, token = server.user(name)
    project.members.create({"user_id": person.id, "access_level": level})
    return server.client(token).projects.get(project.id)


def play(schedule: Any) -> None:
    """Play a schedule by a lazy object, because python-gitlab's ``play`` overwrites the object's attributes."""
    schedule.manager.get(schedule.id, lazy=True).play()


def runs(project: Any, schedule: Any) -> list[Any]:
    """Return a schedule's pipelines."""
    return list(project.pipelineschedules.get(schedule.id, lazy=True).pipelines.list(get_all=True))


def test_a_played_schedule_runs_as_a_schedule_with_its_variables(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION})
    schedule = project.pipelineschedules.create(DAILY)
    schedule.variables.create({"key": "WHERE", "value": "everywhere"})
    before = schedule.next_run_at
    play(schedule)
    (found,) = runs(project, schedule)
    assert (found.source, found.ref) == ("schedule", "main")
    pipeline = wait_for(lambda: (p := project.pipelines.get(found.id)).status == "success" and p)
    jobs = {job.name: job for job in pipeline.jobs.list(get_all=True)}
    assert set(jobs) == {"always", "scheduled"}
    assert b"I look everywhere" in project.jobs.get(jobs["always"].id).trace()
    shown = project.pipelineschedules.get(schedule.id)
    assert (shown.ref, shown.next_run_at, shown.last_pipeline["id"]) == ("refs/heads/main", before, found.id)
    assert [item["key"] for item in shown.attributes["variables"]] == ["WHERE"]
    schedule.variables.create({"key": "ADMITTED", "value": "no"})
    play(schedule)
    assert len(runs(project, schedule)) == 1, "its variables count in workflow:rules"


def test_developers_create_schedules_and_only_the_owner_changes_one(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION})
    guest, one, other = (
        member(gitlab_server, project, name, level) for name, level in (("guest", 10), ("one", 30), ("other", 30))
    )
    maintainer = member(gitlab_server, project, "maintainer", 40)
    with pytest.raises(gitlab.GitlabCreateError):
        guest.pipelineschedules.create(DAILY)
    made = one.pipelineschedules.create(DAILY | {"active": False})
    made.variables.create({"key": "WHERE", "value": "here"})
    for who in (other, maintainer):
        theirs = who.pipelineschedules.get(made.id)
        theirs.description = "mine"
        with pytest.raises(gitlab.GitlabUpdateError):
            theirs.save()
    seen = ["variables" in who.pipelineschedules.get(made.id).attributes for who in (guest, other, one, maintainer)]
    assert seen == [False, False, True, True]
    with pytest.raises(gitlab.GitlabDeleteError):
        other.pipelineschedules.delete(made.id)
    with pytest.raises(gitlab.GitlabOwnershipError):
        other.pipelineschedules.get(made.id).take_ownership()
    taken = maintainer.pipelineschedules.get(made.id)
    taken.take_ownership()
    taken.cron = "0 5 * * *"
    taken.save()
    assert taken.next_run_at.endswith("T05:00:00.000Z")
    with pytest.raises(gitlab.GitlabUpdateError):
        one.pipelineschedules.update(made.id, {"active": True})
    assert [item.id for item in project.pipelineschedules.list(get_all=True, scope="inactive")] == [made.id]
    assert project.pipelineschedules.list(get_all=True, scope="active") == []
    maintainer.pipelineschedules.delete(made.id)


def test_a_schedule_on_a_protected_branch_needs_merge_rights(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION})
    developer = member(gitlab_server, project, "developer", 30)
    maintainer = member(gitlab_server, project, "maintainer", 40)
    early = developer.pipelineschedules.create(DAILY)
    project.protectedbranches.create({"name": "main", "push_access_level": 0, "merge_access_level": 40})
    with pytest.raises(gitlab.GitlabCreateError):
        developer.pipelineschedules.create(DAILY)
    made = maintainer.pipelineschedules.create(DAILY)
    with pytest.raises(gitlab.GitlabPipelinePlayError):
        developer.pipelineschedules.get(made.id).play()
    with pytest.raises(gitlab.GitlabUpdateError):
        developer.pipelineschedules.update(early.id, {"description": "still mine"})
    play(made)
    assert len(runs(project, made)) == 1


def succeeded(project: Any, number: int) -> bool:
    return bool(project.pipelines.get(number).status == "success")


@pytest.mark.long
def test_variables_of_the_type_file_are_files_in_the_jobs(gitlab_server: LocalGitlab) -> None:
    definition = "look: {script: ['cat \"$FROM\"', 'echo $PLAIN']}"
    project = gitlab_server.project({".gitlab-ci.yml": definition})
    schedule = project.pipelineschedules.create(DAILY)
    schedule.variables.create({"key": "FROM", "value": "of a file", "variable_type": "file"})
    schedule.variables.create({"key": "PLAIN", "value": "of a text"})
    play(schedule)
    given = [{"key": "FROM", "value": "of a file", "variable_type": "file"}, {"key": "PLAIN", "value": "of a text"}]
    started = [runs(project, schedule)[0].id, project.pipelines.create({"ref": "main", "variables": given}).id]
    for number in started:
        wait_for(partial(succeeded, project, number))
        pipeline = project.pipelines.get(number)
        (job,) = pipeline.jobs.list(get_all=True)
        trace = project.jobs.get(job.id).trace()
        assert b"of a file" in trace
        assert b"of a text" in trace
        kinds = {item.key: item.variable_type for item in pipeline.variables.list(get_all=True)}
        assert kinds == {"FROM": "file", "PLAIN": "env_var"}
    with pytest.raises(gitlab.GitlabUpdateError, match="variable_type does not have a valid value"):
        project.pipelineschedules.get(schedule.id).variables.update("PLAIN", {"value": "", "variable_type": "folder"})


def test_inputs_are_kept_and_start_no_pipeline_that_declares_none(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION})
    given = [{"name": "a", "value": "b"}, {"name": "c", "value": ["d", "e"]}]
    schedule = project.pipelineschedules.create(DAILY | {"inputs": given})
    assert schedule.inputs == given
    play(schedule)
    assert runs(project, schedule) == []
    changes = [{"name": "a", "value": 1}, {"name": "c", "destroy": True}]
    project.pipelineschedules.update(schedule.id, {"inputs": changes})
    assert project.pipelineschedules.get(schedule.id).inputs == [{"name": "a", "value": 1}]
    project.pipelineschedules.update(schedule.id, {"inputs": [{"name": "a", "destroy": True}]})
    play(schedule)
    assert len(runs(project, schedule)) == 1
    for wrong in ("a", [{"value": "b"}], [{"name": "a", "value": {}}]):
        with pytest.raises(gitlab.GitlabUpdateError, match="inputs is invalid"):
            project.pipelineschedules.update(schedule.id, {"inputs": wrong})
    with pytest.raises(gitlab.GitlabCreateError, match="inputs is not supported by the loopback GitLab"):
        project.pipelines.create({"ref": "main", "inputs": {"a": "b"}})


class Server:
    """A server in a separate process; tests can change the next run of its schedules while it is down."""

    def __init__(self, state: Path) -> None:
        self.state, self.port = state, free_port()
        self.start()

    def start(self) -> None:
        options = {"state": str(self.state), "port": self.port, "expander": expander(), "tool_env": TOOL_ENV}
        script = Path(__file__).parents[1] / "run_server.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        token = (self.state / "root-token").read_text()
        self.client = gitlab.Gitlab(f"http://127.0.0.1:{self.port}", private_token=token)

    def missed(self, *schedules: int) -> None:
        """Kill the server, move the next run of all schedules far into the past, and start the server again."""
        self.process.kill()
        self.process.communicate()
        with sqlite3.connect(self.state / "gitlab.sqlite") as store:
            for number in schedules:
                store.execute(
                    "UPDATE documents SET body=json_set(body, '$.next_run_at', ?) WHERE kind='pipeline_schedule' "
                    "AND id=?",
                    (PAST, number),
                )
        store.close()
        self.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "state")
    yield running
    running.process.communicate()


@pytest.mark.long
def test_missed_runs_are_made_up_for_once(server: Server) -> None:
    project = server.client.projects.create({"name": "p"})
    actions = [{"action": "create", "file_path": ".gitlab-ci.yml", "content": DEFINITION}]
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": actions})
    due, asleep, lost = (
        project.pipelineschedules.create(DAILY | more) for more in ({}, {"active": False}, {"ref": "gone"})
    )

    def started() -> list[Any]:
        return list(server.client.projects.get(project.id).pipelines.list(get_all=True, source="schedule"))

    for expected in (1, 2):
        server.missed(due.id, asleep.id, lost.id)
        wait_for(lambda: len(started()) >= expected)  # noqa: B023 - called before the next round
        schedules = server.client.projects.get(project.id).pipelineschedules
        assert schedules.get(due.id).next_run_at > PAST
        wait_for(lambda: schedules.get(lost.id).next_run_at > PAST)  # noqa: B023 - called before the next round
        assert schedules.get(asleep.id).next_run_at == PAST
        assert len(started()) == expected
    assert {run.sha for run in started()} == {project.branches.get("main").commit["id"]}
