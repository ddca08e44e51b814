"""When a later plan proves that an interrupted apply did its work."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from factory.errors import ApplyUnknown, Refused
from factory.model.deployment import ApplyResult
from factory.system import canonical
from factory.terraform.manifest import Manifest
from factory.workflow import ship
from factory.workflow.recorder import record
from factory.workflow.release import proof
from tests.workflow.recorded_gitlab import World, world
from tests.workflow.test_ship import run

GIVEN = Manifest(
    stack="production",
    commit="a" * 40,
    base="b" * 40,
    plan_file="sha256:file",
    plan="sha256:plan",
    state_lineage="lineage",
    state_serial=7,
    provider_lock="sha256:lock",
    terraform="1.14.0",
    policy="sha256:policy",
    source="sha256:source",
    variables="sha256:variables",
    archives="sha256:archives",
)
NEW = replace(GIVEN, base="", plan_file="sha256:other file", plan="sha256:empty", state_serial=8)


@pytest.mark.parametrize("serial", [8, 9, 40])
def test_an_empty_plan_from_a_state_that_was_saved_since_is_proof(serial: int) -> None:
    assert proof.gap(GIVEN, replace(NEW, state_serial=serial), "") == ""


@pytest.mark.parametrize("serial", [7, 6, 0])
def test_an_empty_plan_from_the_same_state_is_no_proof(serial: int) -> None:
    assert "no apply has saved the state since" in proof.gap(GIVEN, replace(NEW, state_serial=serial), "")


def test_a_plan_that_still_changes_something_is_no_proof() -> None:
    assert proof.gap(GIVEN, NEW, "cloudflare_dns_record.a") == "the new plan still changes cloudflare_dns_record.a"


@pytest.mark.parametrize(
    "name",
    [
        "stack",
        "commit",
        "state_lineage",
        "provider_lock",
        "terraform",
        "policy",
        "source",
        "variables",
        "archives",
    ],
)
def test_a_plan_made_from_something_else_is_no_proof(name: str) -> None:
    other = Manifest(**{**asdict(NEW), name: "other"})
    assert proof.gap(GIVEN, other, "").endswith(f"made from something else: {name}")


_FOLDER = "artifacts/.factory/plan"
_PLAN, _STAGING, _CHECKED, _CONFIRM = 91, 92, 93, 95


@pytest.fixture
def lost(tmp_path: Path) -> World:
    """Return a world in which the apply was lost, a person recovered it, and main is planned again as pipeline 9."""
    made = world(tmp_path, "planned")
    (job,) = [item for item in made.gitlab.answers["pipelines/4/jobs"] if item["name"] == "apply-production"]

    def end() -> None:
        made.follow("deployed")
        del made.gitlab.answers[f"jobs/{job['id']}/{_FOLDER}/production/apply.json"]

    made.gitlab.then[f"POST jobs/{job['id']}/play"] = end
    with pytest.raises(ApplyUnknown):
        ship.deploy(run, made.context, 1)
    plan_again(made, serial=1)
    predicate = {"key": f"recovery/1/{job['id']}/9", "merge_request": 1, "stack": "production", "job": job["id"]}
    none = dict.fromkeys(("done", "partial", "undone"), ())
    serials = {"serial_before": 1, "serial_now": 2, "state_restored": False}
    more = {"phase": "unknown", **none, **serials, "by": "operator"}
    commit = {"commit": f"gitCommit:{made.head}"}
    record(made.context, "recovery", issue=1, subjects=commit, predicate={**predicate, **more})
    made.gitlab.sent.clear()
    return made


def plan_again(made: World, *, serial: int, changes: bool = False, number: int = 9) -> None:
    """Let GitLab answer with a pipeline that planned main again from a state that is ``serial`` further."""
    answers = made.gitlab.answers
    (newest, *_) = answers["pipelines"]
    again = {**newest, "id": number, "source": "api", "status": "manual"}
    answers["pipelines"] = [again, *answers["pipelines"]]
    answers[f"pipelines/{number}"], answers[f"pipelines/{number}/variables"] = again, []
    by_name = {item["name"]: item for item in answers["pipelines/4/jobs"]}
    (old,) = [item["id"] for name, item in by_name.items() if name == "plan"]
    ids = {"plan": _PLAN, "apply-staging": _STAGING, "verify-staging": _CHECKED}
    answers[f"pipelines/{number}/jobs"] = [
        *({**by_name[name], "id": job} for name, job in ids.items()),
        {**by_name["verify-production"], "id": _CONFIRM, "name": "confirm-production", "status": "manual"},
    ]
    answers[f"jobs/{_PLAN}/{_FOLDER}/index.json"] = answers[f"jobs/{old}/{_FOLDER}/index.json"]
    for stack in ("staging", "production"):
        saved = answers[f"jobs/{old}/{_FOLDER}/{stack}/manifest.json"]
        plan = {"format_version": "1.2", "resource_changes": [], "output_changes": {}}
        if changes:
            plan["output_changes"] = {"releases": {"actions": ["update"]}}
        manifest = {**saved, "plan": canonical.digest_of(plan), "state_serial": saved["state_serial"] + serial}
        answers[f"jobs/{_PLAN}/{_FOLDER}/{stack}/manifest.json"] = manifest
        answers[f"jobs/{_PLAN}/{_FOLDER}/{stack}/plan.json"] = plan
        done = ApplyResult("done", stack, canonical.digest_of(manifest), replan_empty=True)
        answers[f"jobs/{_STAGING}/{_FOLDER}/{stack}/apply.json"] = asdict(done)
    deployments = {item["environment"]["name"]: item for item in reversed(answers["deployments"])}
    for name, made_as in (("production", 6), ("staging", 5)):
        item = {**deployments[name], "id": made_as}
        item["deployable"] = {**item["deployable"], "pipeline": {**item["deployable"]["pipeline"], "id": number}}
        answers["deployments"], answers[f"deployments/{made_as}"] = [*answers["deployments"], item], item
    for job, stack in ((_CHECKED, "staging"), (_CONFIRM, "production")):
        app = {"app": "hello", "url": "https://www.hello.test", "release": f"hello-{made.head}"}
        path = f"jobs/{job}/artifacts/.factory/deploy/deploy.json"
        answers[path] = {"stack": stack, "verified": True, "apps": [app], "reason": ""}
    made.gitlab.then[f"POST jobs/{_CONFIRM}/play"] = lambda: end_check(made, "success")


def end_check(made: World, status: str) -> None:
    """End the job that checks production without applying anything."""
    jobs = made.gitlab.answers["pipelines/9/jobs"]
    made.gitlab.answers["pipelines/9/jobs"] = [
        {**item, "status": status} if item["id"] == _CONFIRM else item for item in jobs
    ]


def started(made: World) -> list[str]:
    """Return the jobs that were started."""
    return [item.path for item in made.gitlab.sent if item.path.endswith("/play")]


def test_a_proven_apply_is_checked_and_closed_without_another_approval_or_apply(lost: World) -> None:
    before = len(lost.recorded())
    done = ship.merge(run, lost.context, 1)
    assert (done.state, done.issue) == ("closed", 1)
    assert started(lost) == [f"jobs/{_CONFIRM}/play"]
    assert lost.recorded()[before:] == ["plan", "plan", "apply", "deploy", "proof", "deploy"]
    (note,) = [body for body in lost.gitlab.notes("merge_requests") if "counts as done by proof" in body]
    assert "from serial 1 to 2" in note
    assert {"state_event": "close"} in [item.body for item in lost.gitlab.sent if item.path == "issues/1"]
    again = lost.recorded()
    ship.merge(run, lost.context, 1)
    assert lost.recorded() == again


@pytest.mark.parametrize(("serial", "changes"), [(0, 0), (1, 1), (0, 1)])
def test_what_is_not_proven_waits_for_a_person(lost: World, serial: int, changes: int) -> None:
    plan_again(lost, serial=serial, changes=bool(changes))
    assert ship.merge(run, lost.context, 1).state == "planned"
    assert started(lost) == []
    assert "proof" not in lost.recorded()
    notes = lost.gitlab.notes("merge_requests")
    assert any("is not proven to be complete: " in note and "factory infra rollback" in note for note in notes)
    assert any("An approval of the deployment approves exactly this plan" in note for note in notes)


def test_a_proven_apply_that_does_not_answer_is_not_closed(lost: World) -> None:
    lost.gitlab.then[f"POST jobs/{_CONFIRM}/play"] = lambda: end_check(lost, "failed")
    with pytest.raises(Refused, match="applied but not verified"):
        ship.merge(run, lost.context, 1)
    assert not any(item.body.get("state_event") == "close" for item in lost.gitlab.sent)


def test_an_altered_plan_of_the_new_pipeline_proves_nothing(lost: World) -> None:
    lost.gitlab.change(f"jobs/{_PLAN}/{_FOLDER}/production/plan.json", format_version="0")
    assert ship.merge(run, lost.context, 1).state == "planned"


def test_without_a_job_that_checks_it_a_person_decides(lost: World) -> None:
    jobs = lost.gitlab.answers["pipelines/9/jobs"]
    lost.gitlab.answers["pipelines/9/jobs"] = [item for item in jobs if item["id"] != _CONFIRM]
    assert ship.merge(run, lost.context, 1).state == "planned"
    assert "proof" not in lost.recorded()


def test_a_pipeline_that_follows_no_recovery_proves_nothing(lost: World) -> None:
    plan_again(lost, serial=1, number=10)
    assert ship.merge(run, lost.context, 1).state == "planned"
    assert started(lost) == []
