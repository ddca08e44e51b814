"""The pipeline state machine: when jobs run, the status of pipelines, and that all pipelines finish."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gitlab
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.local_gitlab.ci import states
from factory.local_gitlab.ci.states import FINISHED, Job
from tests.servers import LocalGitlab, wait_for

OUTCOMES = ("success", "failed", "canceled")
WHENS = ("on_success", "on_failure", "always", "manual", "never")


def job(name: str = "x", stage: int = 0, status: str = "created", when: str = "on_success", **more: Any) -> Job:
    known: dict[str, Any] = {"allow_failure": False, "needs": None} | more
    return Job(id=0, name=name, stage=stage, status=status, when=when, **known)


ALLOWED: dict[str, Any] = {"allow_failure": True}


@pytest.mark.parametrize(
    ("before", "more", "when", "expected"),
    [
        ([], {}, "on_success", "pending"),
        ([], {}, "manual", "manual"),
        ([], {}, "never", "skipped"),
        ([], {}, "on_failure", "skipped"),
        (["created"], {}, "on_success", None),
        (["running"], {}, "always", None),
        (["waiting_for_resource"], {}, "on_success", None),
        (["success", "pending"], {}, "on_success", None),
        (["failed", "running"], {}, "on_failure", None),
        (["success"], {}, "on_success", "pending"),
        (["success"], {}, "manual", "manual"),
        (["success"], {}, "on_failure", "skipped"),
        (["success"], {}, "always", "pending"),
        (["failed"], {}, "on_success", "skipped"),
        (["failed"], {}, "manual", "skipped"),
        (["failed"], {}, "on_failure", "pending"),
        (["failed"], {}, "always", "pending"),
        (["failed"], ALLOWED, "on_success", "pending"),
        (["failed"], ALLOWED, "on_failure", "skipped"),
        (["canceled"], {}, "on_success", "skipped"),
        (["canceled"], ALLOWED, "on_success", "pending"),
        (["skipped"], {}, "on_success", "pending"),
        (["skipped", "failed"], {}, "on_success", "skipped"),
        (["manual"], {}, "on_success", None),
        (["manual"], {}, "always", None),
        (["manual"], ALLOWED, "on_success", "pending"),
    ],
)
def test_by_stage_order(before: list[str], more: dict[str, Any], when: str, expected: str | None) -> None:
    earlier = [job(f"b{number}", status=status, **more) for number, status in enumerate(before)]
    it = job("it", stage=1, when=when)
    beside = [job("beside", stage=1, status="failed"), job("later", stage=2, status="running")]
    assert states.next_status(it, [*earlier, it, *beside]) == expected


@pytest.mark.parametrize(
    ("status", "more", "when", "expected"),
    [
        ("running", {}, "on_success", None),
        ("success", {}, "on_success", "pending"),
        ("success", {}, "manual", "manual"),
        ("failed", {}, "on_success", "skipped"),
        ("failed", {}, "on_failure", "pending"),
        ("failed", ALLOWED, "on_success", "pending"),
        ("skipped", {}, "on_success", "skipped"),
        ("skipped", {}, "always", "pending"),
        ("manual", {}, "on_success", None),
        ("manual", ALLOWED, "on_success", "skipped"),
    ],
)
def test_by_needs(status: str, more: dict[str, Any], when: str, expected: str | None) -> None:
    needed = job("needed", stage=0, status=status, **more)
    it = job("it", stage=2, when=when, needs=("needed",))
    others = [job("broken", stage=0, status="failed"), job("slow", stage=1, status="running")]
    assert states.next_status(it, [needed, it, *others]) == expected


def test_empty_needs_start_at_once_and_a_missing_need_skips_unless_optional() -> None:
    slow = job("slow", status="running")
    assert states.next_status(job("it", stage=3, needs=()), [slow]) == "pending"
    assert states.next_status(job("it", stage=3, needs=("gone",)), [slow]) == "skipped"
    it = job("it", stage=3, needs=("gone",), optional_needs=frozenset({"gone"}))
    assert states.next_status(it, [slow, it]) == "pending"


@pytest.mark.parametrize(
    ("plain", "allowed", "expected"),
    [
        ("created", "", "created"),
        ("created pending", "", "pending"),
        ("pending running", "", "running"),
        ("created running failed", "", "running"),
        ("created waiting_for_resource", "", "waiting_for_resource"),
        ("success created", "", "running"),
        ("success", "", "success"),
        ("success skipped", "failed manual canceled", "success"),
        ("success failed", "", "failed"),
        ("success canceled", "", "canceled"),
        ("failed canceled skipped", "", "failed"),
        ("manual created success", "", "manual"),
        ("manual failed", "", "manual"),
        ("manual running", "", "running"),
        ("skipped", "", "skipped"),
        ("", "manual", "skipped"),
        ("", "failed", "success"),
        ("created", "failed", "created"),
    ],
)
def test_a_pipelines_status(plain: str, allowed: str, expected: str) -> None:
    found = [job(str(n), status=status) for n, status in enumerate(plain.split())]
    found += [job(f"a{n}", status=status, allow_failure=True) for n, status in enumerate(allowed.split())]
    assert states.pipeline_status(found) == expected


@pytest.mark.parametrize(
    ("retry", "attempts", "reason", "expected"),
    [
        (None, 1, "script_failure", False),
        (0, 1, "script_failure", False),
        (1, 1, "script_failure", True),
        (1, 2, "script_failure", False),
        (2, 2, "", True),
        ({"max": 2}, 2, "script_failure", True),
        ({"max": 2, "when": "runner_system_failure"}, 1, "runner_system_failure", True),
        ({"max": 2, "when": ["runner_system_failure", "job_execution_timeout"]}, 1, "script_failure", False),
        ({"max": 1, "when": ["always"]}, 1, "anything", True),
        ({"when": "always"}, 1, "anything", False),
        ({"max": 1, "exit_codes": 9}, 1, "script_failure", True),
        ({"max": 1, "exit_codes": [8, 9]}, 2, "script_failure", False),
        ({"max": 1, "exit_codes": [8]}, 1, "script_failure", False),
        ({"max": 1, "exit_codes": [8], "when": ["runner_system_failure"]}, 1, "runner_system_failure", True),
        ({"max": 1, "exit_codes": [9], "when": "runner_system_failure"}, 1, "script_failure", True),
    ],
)
def test_retries_left(retry: Any, attempts: int, reason: str, *, expected: bool) -> None:
    assert states.retries_left({"retry": retry}, attempts, reason, 9) is expected


MERGEABLE: dict[str, Any] = {
    "state": "opened",
    "draft": False,
    "pipeline": "success",
    "must_succeed": True,
    "allow_skipped": False,
    "approvals_left": 0,
    "discussions_open": False,
    "conflict": False,
    "needs_rebase": False,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "mergeable"),
        ({"state": "merged"}, "not_open"),
        ({"draft": True}, "draft_status"),
        ({"pipeline": None}, "ci_must_pass"),
        ({"pipeline": "manual"}, "ci_must_pass"),
        ({"pipeline": "failed"}, "ci_must_pass"),
        ({"pipeline": "skipped"}, "ci_must_pass"),
        ({"pipeline": "skipped", "allow_skipped": True}, "mergeable"),
        ({"pipeline": "pending"}, "ci_still_running"),
        ({"pipeline": "failed", "must_succeed": False}, "mergeable"),
        ({"approvals_left": 1}, "not_approved"),
        ({"discussions_open": True}, "discussions_not_resolved"),
        ({"conflict": True}, "conflict"),
        ({"needs_rebase": True}, "need_rebase"),
    ],
)
def test_the_first_reason_against_merging(change: dict[str, Any], expected: str) -> None:
    assert states.detailed_merge_status(**(MERGEABLE | change)) == expected


@st.composite
def graphs(draw: st.DrawFn) -> list[Job]:
    """Return jobs in stages; ``needs`` name only earlier jobs, so that no cycles exist."""
    stages = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=8)))
    found: list[Job] = []
    for number, stage in enumerate(stages):
        names = [other.name for other in found] + ["gone"]
        needs = draw(st.none() | st.lists(st.sampled_from(names), unique=True, max_size=3))
        found.append(
            job(
                f"j{number}",
                stage,
                when=draw(st.sampled_from(WHENS)),
                allow_failure=draw(st.booleans()),
                needs=None if needs is None else tuple(needs),
                optional_needs=frozenset(draw(st.sets(st.sampled_from(names)))),
            )
        )
    return found


def settle(jobs: Sequence[Job], draw: st.DataObject, *, play: bool) -> list[Job]:
    """Advance jobs until nothing changes; running jobs end as drawn, manual jobs are played if ``play`` says so."""
    now = list(jobs)
    for _ in range(10 * len(now)):
        moved = False
        for position, each in enumerate(now):
            status = states.next_status(each, now) if each.status == "created" else None
            if each.status == "pending" or (play and each.status == "manual"):
                status = draw.draw(st.sampled_from(OUTCOMES))
            if status is not None:
                now[position] = replace(each, status=status)
                moved = True
        if not moved:
            return now
    raise AssertionError("the jobs never settle")


def before(it: Job, jobs: Sequence[Job]) -> list[Job]:
    if it.needs is None:
        return [other for other in jobs if other.stage < it.stage]
    return [other for other in jobs if other.name in it.needs]


@settings(deadline=None)
@given(graphs(), st.data())
def test_only_a_blocking_manual_job_blocks_others(jobs: list[Job], data: st.DataObject) -> None:
    settled = settle(jobs, data, play=False)
    for each in settled:
        assert each.status in {*FINISHED, "manual", "created"}
        if each.status == "created":
            assert any(
                other.status == "created" or (other.status == "manual" and not other.allow_failure)
                for other in before(each, settled)
            )
    blocked = any(each.status == "manual" and not each.allow_failure for each in settled)
    assert blocked or not any(each.status == "created" for each in settled)
    assert (states.pipeline_status(settled) == "manual") is blocked


@settings(deadline=None)
@given(graphs(), st.data())
def test_if_every_manual_job_is_played_all_jobs_finish(jobs: list[Job], data: st.DataObject) -> None:
    settled = settle(jobs, data, play=True)
    assert {each.status for each in settled} <= FINISHED
    assert states.pipeline_status(settled) in FINISHED


@settings(deadline=None)
@given(graphs(), st.data())
def test_no_job_runs_before_its_upstream_jobs_finish(jobs: list[Job], data: st.DataObject) -> None:
    jobs = [
        replace(each, status=data.draw(st.sampled_from((*OUTCOMES, "running", "manual", "created")))) for each in jobs
    ]
    for each in jobs:
        if states.next_status(each, jobs) in {"pending", "manual"}:
            assert all(other.over for other in before(each, jobs))
            assert each.when != "never"


def _status_of(project: Any, **expected: str) -> None:
    """Wait until the newest run of each job has the expected status."""

    def reached() -> bool:
        newest = {each.name: each.status for each in reversed(project.jobs.list(get_all=True))}
        return all(newest.get(name.replace("_", "-")) == status for name, status in expected.items())

    wait_for(reached)


def test_a_job_that_needs_a_manual_job_runs_after_it_is_played(gitlab_server: LocalGitlab) -> None:
    hold = "hold:\n  script: [echo yes]\n  rules: [{when: manual, allow_failure: true}]\n"
    project = gitlab_server.project({".gitlab-ci.yml": hold + "next:\n  script: [echo yes]\n  needs: [hold]\n"})
    _status_of(project, hold="manual", next="skipped")
    next(each for each in project.jobs.list(get_all=True) if each.name == "hold").play()
    _status_of(project, hold="success", next="success")


def test_a_retry_does_not_bypass_deployment_approval(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    rule = {"name": "live", "deploy_access_levels": [{"access_level": 40}], "required_approval_count": 1}
    project.protected_environments.create(rule)
    first = "check:\n  stage: build\n  script: ['[ -e ok ]']\n"
    deploy = "deploy:\n  stage: deploy\n  environment: live\n  script: [echo yes]\n"
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": first + deploy}
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": [action]})
    _status_of(project, check="failed", deploy="skipped")
    project.pipelines.list(get_all=True)[0].retry()
    _status_of(project, check="failed", deploy="skipped")
    action = {"action": "create", "file_path": "ok", "content": ""}
    project.commits.create({"branch": "main", "commit_message": "ok", "actions": [action]})
    _status_of(project, check="success", deploy="manual")
    waiting = project.jobs.list(get_all=True)[0]
    assert waiting.name == "deploy"
    with pytest.raises(gitlab.GitlabJobPlayError):
        waiting.play()
    assert project.pipelines.list(get_all=True)[0].status == "manual"
