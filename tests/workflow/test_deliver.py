"""Tests of deliver on recorded answers of GitLab: the nodes after an agent's work, and how a session ends."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from factory.errors import AgentFailed, AwaitingHuman, Conflict, FactoryError, GateFailed, MachineError, Refused
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult
from factory.system import files
from factory.workflow.deliver import deliver
from factory.workflow.session import local_gates, results
from factory.workflow.session.local_gates import Checked
from tests.workflow.recorded_gitlab import World, world

Form = TypeVar("Form")


class Steps:
    """Runs the steps of a session, of which some were done before a crash: the engine returns their results again."""

    def __init__(self, done: Mapping[str, object]) -> None:
        self.done, self.names = done, list[str]()

    def __call__(self, name: str, form: type[Form], step: Callable[[], Form]) -> Form:
        """Return a step's result."""
        self.names.append(name)
        found = self.done[name] if name in self.done else step()
        assert isinstance(found, form), name
        return found


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path, "claimed")


def worked(made: World, number: int = 1, **changes: Any) -> AttemptResult:
    """Return the result of an attempt, which also is in its folder, with its brief and transcript."""
    values: dict[str, Any] = {
        "attempt": number,
        "base": made.context.main(),
        "head": made.head,
        "reason": Reason.DONE_FOR_REVIEW,
        "detail": "",
        "agent": AgentRef("replay", "1", brief="sha256:" + "0" * 64),
        "message": "I greet now.",
        **changes,
    }
    folder = files.private_folder(made.session.attempt(number))
    files.write_atomic(folder / "brief.md", b"Greet.")
    files.write_atomic(folder / "transcript.jsonl.gz", b"")
    return results.write(folder, AttemptResult(**values))


PASSED = Checked((), ())


def proposes(made: World) -> None:
    """Let GitLab answer as it did once the merge request was proposed and its pipeline passed."""

    def follow() -> None:
        made.follow("review")
        made.gitlab.end_pipelines("success")
        made.gitlab.answers["POST merge_requests"] = made.gitlab.answers["merge_requests/1"]

    made.gitlab.answers["merge_requests"] = []
    made.gitlab.then["POST merge_requests"] = follow


def test_work_that_passes_becomes_a_merge_request_that_is_ready_for_review(here: World) -> None:
    proposes(here)
    steps = Steps({"work-1": worked(here), "check-1": PASSED})
    done = deliver(steps, here.context, here.session)
    assert (done.state, done.issue, done.merge_request) == ("review", 1, 1)
    assert steps.names == ["claim", "work-1", "check-1", "propose-1", "watch-1", "present"]
    assert here.recorded() == ["claim", "verdict", "plan", "plan"]
    (opened,) = [item for item in here.gitlab.sent if item.path == "merge_requests"]
    assert opened.body["source_branch"] == here.session.branch
    assert "> I greet now." in opened.body["description"]
    assert here.gitlab.labels("issues/1") == [
        ("factory::claimed", "factory::ready,factory::blocked"),
        ("factory::review", "factory::claimed"),
    ]
    assert here.context.mirror.head(here.session.branch) == here.head


def test_a_pipeline_that_fails_gives_its_findings_to_the_next_attempt(here: World) -> None:
    proposes(here)
    follow = here.gitlab.then["POST merge_requests"]

    def red() -> None:
        follow()
        for path in [path for path in here.gitlab.answers if path.endswith("/pipelines")]:
            here.gitlab.answers[path] = [{**item, "status": "failed"} for item in here.gitlab.answers[path]]

    here.gitlab.then["POST merge_requests"] = red
    later = {f"work-{number}": worked(here, number, head=None) for number in (2, 3, 4)}
    again = Steps({"work-1": worked(here), "check-1": PASSED, **later})
    with pytest.raises((GateFailed, AgentFailed)):
        deliver(again, here.context, here.session)
    assert again.names[:6] == ["claim", "work-1", "check-1", "propose-1", "watch-1", "work-2"]
    assert "give-up" in again.names
    assert any("factory::blocked" in added for added, _ in here.gitlab.labels("issues/1"))


def test_a_run_that_begins_again_leaves_later_attempts_on_the_branch(here: World) -> None:
    proposes(here)
    mirror, branch = here.context.mirror, here.session.branch
    result = worked(here)
    later = mirror.commit({"docs/x.md": b"x"}, parent=here.head, message="x\n", author=here.context.bot_author)
    mirror.push(later, branch, "")
    steps = Steps({"work-1": result, "check-1": PASSED})
    deliver(steps, here.context, here.session)
    assert "watch-1" in steps.names
    here.context.fetch()
    assert mirror.head(branch) == later


def loses(here: World, reason: str, *, runs: int = 1) -> Steps:
    """Let the machine end the pipeline's job `unit`, for the last time of some."""
    proposes(here)
    follow = here.gitlab.then["POST merge_requests"]
    why = {"unit": reason, "gate": "script_failure"}

    def lost() -> None:
        follow()
        for path in [path for path in here.gitlab.answers if path.endswith("/pipelines")]:
            here.gitlab.answers[path] = [{**item, "status": "failed"} for item in here.gitlab.answers[path]]
        for path in [path for path in here.gitlab.answers if path.endswith("/jobs")]:
            here.gitlab.answers[path] = [
                {**item, "status": "failed", "failure_reason": why[item["name"]]} if item["name"] in why else item
                for item in here.gitlab.answers[path]
                for _ in range(runs if item["name"] == "unit" else 1)
            ]

    here.gitlab.then["POST merge_requests"] = lost
    return Steps({"work-1": worked(here), "check-1": PASSED})


@pytest.mark.parametrize("reason", ["runner_system_failure", "stuck_or_timeout_failure"])
def test_jobs_that_the_machine_ends_are_retried_with_the_gate_and_use_up_no_attempt(here: World, reason: str) -> None:
    steps = loses(here, reason)
    with pytest.raises(MachineError, match=f"not the change, ended job unit \\({reason}\\)") as raised:
        deliver(steps, here.context, here.session)
    assert "No attempt is used up" in raised.value.hint
    assert steps.names == ["claim", "work-1", "check-1", "propose-1", "watch-1"]
    retried = [item.path for item in here.gitlab.sent if item.path.endswith("/retry")]
    assert len(retried) == 4
    assert len(set(retried)) == 2
    assert here.recorded() == ["claim"]
    assert [added for added, _ in here.gitlab.labels("issues/1")] == ["factory::claimed"]


def test_a_job_that_the_machine_ended_nine_times_is_a_persons_to_retry(here: World) -> None:
    steps = loses(here, "runner_system_failure", runs=9)
    with pytest.raises(MachineError, match="ended job unit"):
        deliver(steps, here.context, here.session)
    assert not [item.path for item in here.gitlab.sent if item.path.endswith("/retry")]


def test_a_verdict_of_another_judge_ends_the_session(here: World) -> None:
    proposes(here)
    follow = here.gitlab.then["POST merge_requests"]

    def foreign() -> None:
        follow()
        for path in [path for path in here.gitlab.answers if path.endswith("verdict.json")]:
            here.gitlab.change(path, judge_sha="1" * 40)

    here.gitlab.then["POST merge_requests"] = foreign
    with pytest.raises(Refused, match="not a commit of the protected branch"):
        deliver(Steps({"work-1": worked(here), "check-1": PASSED}), here.context, here.session)


@pytest.mark.parametrize(
    ("changes", "error", "labels"),
    [
        ({"reason": Reason.NEEDS_INPUT, "question": "Which?"}, AwaitingHuman, "factory::blocked"),
        ({"reason": Reason.CANCELLED_BY_HUMAN, "detail": "cancelled"}, AwaitingHuman, "factory::blocked"),
    ],
)
def test_what_ends_a_session_is_told_recorded_and_gives_the_issue_back(
    here: World, changes: dict[str, Any], error: type[FactoryError], labels: str
) -> None:
    done = worked(here, head=None, **changes)
    with pytest.raises(error):
        deliver(Steps({"work-1": done}), here.context, here.session)
    assert here.recorded() == ["claim", "attempt"]
    assert here.gitlab.notes("issues/1")
    assert any(labels in added for added, _ in here.gitlab.labels("issues/1"))


def test_a_session_that_lost_its_lease_proposes_nothing(here: World, tmp_path: Path) -> None:
    del tmp_path
    proposes(here)

    def taken() -> AttemptResult:
        return worked(here)

    steps = Steps({"work-1": taken(), "check-1": PASSED})
    held = here.context.mirror.head("factory/leases/1")
    value = here.context.mirror.read(str(held), "lease.json").replace(here.session.id.encode(), b"ffffffff")
    commit = here.context.mirror.commit(
        {"lease.json": value}, parent=held, message="taken\n", author=here.context.bot_author
    )
    here.context.mirror.push(commit, "factory/leases/1", "")
    with pytest.raises(Conflict, match="no longer holds"):
        deliver(steps, here.context, here.session)
    assert not any(item.path == "merge_requests" for item in here.gitlab.sent)


def test_the_local_gates_say_one_thing_of_a_commit(here: World) -> None:
    said = {"feedback": ["unit: failed"], "gates": [{"gate": "unit", "result": "failed"}]}
    files.private_folder(here.session.attempt(1))
    (here.session.attempt(1) / "checked.json").write_text(json.dumps({"head": here.head, "checked": said}))
    again = local_gates.check(here.context, here.session, here.context.policies(), number=1, head=here.head)
    assert again == Checked(("unit: failed",), ({"gate": "unit", "result": "failed"},))
