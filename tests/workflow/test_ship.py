"""Tests of ship on recorded answers of GitLab: what it records, writes and refuses at each step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from factory.errors import ApplyUnknown, AwaitingHuman, Conflict, EvidenceIncomplete, FactoryError, NotFound, Refused
from factory.workflow import ship
from tests.workflow.recorded_gitlab import SESSION, Failure, World, world

Form = TypeVar("Form")
_APPLY = "jobs/{}/artifacts/.factory/plan/production/apply.json"
_CHECK = "jobs/{}/artifacts/.factory/deploy/deploy.json"


def run(name: str, form: type[Form], step: Callable[[], Form]) -> Form:
    """Run a step, as the engine does the first time."""
    done = step()
    assert isinstance(done, form), name
    return done


@pytest.fixture
def approved(tmp_path: Path) -> World:
    made = world(tmp_path, "approved")
    made.gitlab.then["PUT merge_requests/1/merge"] = lambda: made.follow("planned")
    return made


@pytest.fixture
def planned(tmp_path: Path) -> World:
    made = world(tmp_path, "planned")
    made.gitlab.then[f"POST jobs/{job(made, 'apply-production')}/play"] = lambda: made.follow("deployed")
    return made


def job(made: World, name: str) -> int:
    """Return the id of main's newest job of a name."""
    lists = [jobs for path, jobs in made.gitlab.answers.items() if path.endswith("/jobs")]
    return max(int(item["id"]) for jobs in lists for item in jobs if item["name"] == name)


def test_an_approved_merge_request_is_merged_at_its_head_and_main_is_planned(approved: World) -> None:
    done = ship.merge(run, approved.context, 1)
    assert (done.state, done.issue, done.merge_request) == ("planned", 1, 1)
    (merge,) = [item for item in approved.gitlab.sent if item.path.endswith("/merge")]
    assert merge.body["sha"] == approved.head
    assert approved.recorded() == ["approval", "merge", "plan", "plan", "apply", "deploy"]
    (note,) = [body for body in approved.gitlab.notes("merge_requests") if "manifest sha256:" in body]
    assert f"manifest {done.manifest}" in note
    assert ("factory::shipping", "factory::review") in approved.gitlab.labels("issues/1")


def test_merging_again_records_nothing_twice(approved: World) -> None:
    ship.merge(run, approved.context, 1)
    before = approved.recorded()
    ship.merge(run, approved.context, 1)
    assert approved.recorded() == before
    assert sum(item.path.endswith("/merge") for item in approved.gitlab.sent) == 1


def test_a_merge_request_behind_main_is_closed_and_its_issue_offered_again(approved: World) -> None:
    context = approved.context
    other = context.mirror.commit({"a": b""}, parent=context.main(), message="other\n", author=context.bot_author)
    context.mirror.push(other, "main", "")
    done = ship.merge(run, context, 1)
    assert done.state == "superseded"
    assert not any(item.path.endswith("/merge") for item in approved.gitlab.sent)
    assert {"state_event": "close"} in [item.body for item in approved.gitlab.sent if item.path == "merge_requests/1"]
    assert approved.gitlab.labels("issues/1") == [("factory::ready", "factory::review")]
    assert approved.recorded() == []


def approvals(*names: str) -> dict[str, Any]:
    return {"approved_by": [{"user": {"username": name}} for name in names]}


def test_without_its_evidence_nothing_is_merged_and_what_is_missing_is_named(approved: World) -> None:
    approved.forget_evidence()
    with pytest.raises(EvidenceIncomplete, match=r"not merged, .*: a claim of factory/control#1; an") as raised:
        ship.merge(run, approved.context, 1)
    assert "factory evidence verify 1" in raised.value.hint
    assert not any(item.path.endswith("/merge") for item in approved.gitlab.sent)


def test_without_its_evidence_nothing_is_deployed(planned: World) -> None:
    planned.forget_evidence()
    with pytest.raises(EvidenceIncomplete, match="!1 is not deployed to production"):
        ship.deploy(run, planned.context, 1)
    assert not any(item.path.endswith("/play") for item in planned.gitlab.sent)


@pytest.mark.parametrize("names", [(), ("factory-agent",), ("factory-bot",), ("Factory-Agent",)])
def test_without_an_approval_that_counts_nothing_is_merged(approved: World, names: tuple[str, ...]) -> None:
    approved.gitlab.change("merge_requests/1/approvals", **approvals(*names))
    with pytest.raises(Refused, match="0 of 1 approvals that count"):
        ship.merge(run, approved.context, 1)
    assert not any(item.path.endswith("/merge") for item in approved.gitlab.sent)


@pytest.mark.parametrize("name", ["issue", "head", "spec", "policy", "plan"])
def test_an_approval_of_other_digests_is_void(approved: World, name: str) -> None:
    notes = approved.gitlab.answers["merge_requests/1/notes"]
    for note in notes:
        note["body"] = note["body"].replace(f"- {name}: `", f"- {name}: `0")
    with pytest.raises(Refused, match="has changed since its approval"):
        ship.merge(run, approved.context, 1)
    assert approved.recorded() == []


@pytest.mark.parametrize("state", ["opened", "merged"])
def test_a_merge_request_whose_target_was_changed_ships_nothing(approved: World, state: str) -> None:
    """Hostile: it was reviewed and approved on its way to main, and its author sent it elsewhere."""
    approved.gitlab.change("merge_requests/1", target_branch="side", state=state)
    with pytest.raises(Refused, match=r"^!1 is to side, and only what is merged to main is shipped$"):
        ship.merge(run, approved.context, 1)
    assert approved.gitlab.sent == []
    assert approved.recorded() == []


def test_a_target_that_is_changed_while_it_is_merged_leaves_no_record_of_a_merge_to_main(approved: World) -> None:
    """Hostile: of the target GitLab's merge takes no condition, as it does of the head."""
    del approved.gitlab.then["PUT merge_requests/1/merge"]
    merged = {**approved.gitlab.answers["merge_requests/1"], "state": "merged", "target_branch": "side"}
    approved.gitlab.answers["PUT merge_requests/1/merge"] = merged
    with pytest.raises(Refused, match="!1 is to side"):
        ship.merge(run, approved.context, 1)
    assert approved.recorded() == ["approval"]


def test_a_status_of_somebody_else_that_holds_the_pipeline_open_is_named_at_once(approved: World) -> None:
    """Hostile: the work loop would wait half an hour for it, and nothing else would ship."""
    path = f"repository/commits/{approved.head}/statuses"
    held = {"id": 10**9, "name": "mine", "status": "pending", "author": {"username": "mallory"}}
    approved.gitlab.answers |= {path: [held]}
    approved.gitlab.answers |= {
        f"{found}/bridges": [] for found in approved.gitlab.answers if found[:10] == "pipelines/"
    }
    with pytest.raises(AwaitingHuman, match="!1 is approved, but its pipeline is held open by the status mine of mal"):
        ship.merge(run, approved.context, 1)
    assert not any(item.path.endswith("/merge") for item in approved.gitlab.sent)
    approved.gitlab.answers[path] = [{**held, "status": "success"}]
    assert ship.merge(run, approved.context, 1).state == "planned"


def test_a_head_that_moved_while_it_was_merged_is_a_conflict(approved: World) -> None:
    del approved.gitlab.then["PUT merge_requests/1/merge"]
    approved.gitlab.answers["PUT merge_requests/1/merge"] = Failure(409, "SHA does not match HEAD of source branch")
    with pytest.raises(Conflict):
        ship.merge(run, approved.context, 1)
    assert approved.recorded() == ["approval"]


def test_a_red_pipeline_of_main_is_refused_with_the_command_that_shows_it(approved: World) -> None:
    def merged() -> None:
        approved.follow("planned")
        (newest, *others) = approved.gitlab.answers["pipelines"]
        red = {**newest, "status": "failed"}
        approved.gitlab.answers |= {"pipelines": [red, *others], f"pipelines/{red['id']}": red}

    approved.gitlab.then["PUT merge_requests/1/merge"] = merged
    with pytest.raises(Refused, match=r"main's pipeline \d+ is failed") as raised:
        ship.merge(run, approved.context, 1)
    assert "factory pipeline show" in raised.value.hint


def test_an_approved_plan_is_applied_verified_and_its_issue_closed(planned: World) -> None:
    done = ship.deploy(run, planned.context, 1)
    assert (done.state, done.issue) == ("closed", 1)
    (play,) = [item for item in planned.gitlab.sent if item.path.endswith("/play")]
    given = {item["key"]: item["value"] for item in play.body["job_variables_attributes"]}
    assert given["APPROVED_MANIFEST"].startswith("sha256:")
    assert given["ALLOWED_DESTROY"] == ""
    assert planned.recorded() == ["approval", "apply", "deploy"]
    assert {"state_event": "close"} in [item.body for item in planned.gitlab.sent if item.path == "issues/1"]
    assert any(item.path == "releases" and item.body["ref"] == planned.head for item in planned.gitlab.sent)


def test_a_second_run_starts_no_second_apply(planned: World) -> None:
    ship.deploy(run, planned.context, 1)
    before = planned.recorded()
    planned.follow("closed")
    ship.deploy(run, planned.context, 1)
    assert sum(item.path.endswith("/play") for item in planned.gitlab.sent) == 1
    assert planned.recorded() == before


def test_a_deployment_whose_approval_names_another_manifest_is_not_started(planned: World) -> None:
    for path in [path for path in planned.gitlab.answers if path.startswith("deployments/")]:
        given = planned.gitlab.answers[path].get("approvals") or []
        planned.gitlab.change(path, approvals=[{**item, "comment": "manifest sha256:" + "0" * 64} for item in given])
    with pytest.raises(Refused, match="no approval that names manifest"):
        ship.deploy(run, planned.context, 1)
    assert not any(item.path.endswith("/play") for item in planned.gitlab.sent)


def ended(made: World, path: str, name: str, **fields: object) -> Callable[[], None]:
    """Return what follows a start of the apply: the recorded end, with other fields in one job's file."""

    def follow() -> None:
        made.follow("deployed")
        made.gitlab.change(path.format(job(made, name)), **fields)

    return follow


@pytest.mark.parametrize(
    ("fields", "error", "result"),
    [
        ({"phase": "started"}, ApplyUnknown, "unknown"),
        ({"phase": "failed"}, ApplyUnknown, "unknown"),
        ({"phase": "done", "replan_empty": False}, ApplyUnknown, "unknown"),
        ({"manifest": "sha256:" + "0" * 64}, ApplyUnknown, "unknown"),
        ({"phase": "a new word"}, ApplyUnknown, "unknown"),
        ({"phase": "refused", "reason": "the state is locked"}, Refused, "refused"),
    ],
)
def test_an_apply_that_did_not_end_well_is_recorded_as_what_it_was(
    planned: World, fields: dict[str, object], error: type[FactoryError], result: str
) -> None:
    number = job(planned, "apply-production")
    planned.gitlab.then[f"POST jobs/{number}/play"] = ended(planned, _APPLY, "apply-production", **fields)
    with pytest.raises(error):
        ship.deploy(run, planned.context, 1)
    assert planned.recorded() == ["approval", "apply"]
    labelled = any("factory::apply-unknown" in added for added, _ in planned.gitlab.labels("issues/1"))
    assert labelled == (result == "unknown")


def test_a_deployment_that_does_not_answer_is_recorded_as_not_verified(planned: World) -> None:
    number = job(planned, "apply-production")
    planned.gitlab.then[f"POST jobs/{number}/play"] = ended(planned, _CHECK, "verify-production", verified=False)
    with pytest.raises(Refused, match="applied but not verified"):
        ship.deploy(run, planned.context, 1)
    assert planned.recorded() == ["approval", "apply", "deploy"]
    assert not any(item.body.get("state_event") == "close" for item in planned.gitlab.sent)


@pytest.mark.parametrize(
    "branch",
    ["mine", "factory/1", "factory/1-00000000", "factory/2-{}", "factory/01-{}", "x/factory/1-{}", "factory/1-{}/x"],
)
def test_a_branch_that_no_lease_names_is_of_no_session(approved: World, branch: str) -> None:
    approved.gitlab.change("merge_requests/1", source_branch=branch.format(SESSION))
    with pytest.raises(NotFound, match="is of no session"):
        ship.merge(run, approved.context, 1)
    assert not approved.gitlab.sent


@pytest.mark.parametrize(
    "description", ["Related to #2", "Related to #1\n\nRelated to #12 ", "x\nRelated to #2\nSpec: hello"]
)
def test_a_description_that_names_another_issue_is_refused_before_the_merge(approved: World, description: str) -> None:
    approved.gitlab.change("merge_requests/1", description=description)
    with pytest.raises(Refused, match="its branch and lease are of #1"):
        ship.merge(run, approved.context, 1)
    assert not approved.gitlab.sent


def test_a_description_without_an_issue_or_with_another_spec_changes_nothing(approved: World) -> None:
    approved.gitlab.change("merge_requests/1", description="Spec: other")
    assert ship.merge(run, approved.context, 1).issue == 1


@pytest.mark.parametrize("trailer", ["Issue: #2", "Factory-Session: ffffffff"])
def test_a_commit_that_names_another_issue_or_session_is_refused(approved: World, trailer: str) -> None:
    context = approved.context
    message = f"Greet\n\n{trailer}\n"
    commit = context.mirror.commit({}, parent=approved.head, message=message, author=context.agent_author)
    approved.gitlab.change("merge_requests/1", sha=commit)
    with pytest.raises(Refused, match=f"says {trailer}"):
        ship.merge(run, context, 1)
    assert not approved.gitlab.sent
