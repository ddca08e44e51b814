"""What must be recorded before a merge, and before an apply."""

import pytest

from factory.evidence import preconditions, transparency_log
from factory.evidence.trust import Trust, TrustedKey
from tests.evidence import examples

_BEFORE_MERGE = ("claim", "attempt", "verdict", "merge plan", "merge approval")
_BEFORE_APPLY = ("merge", "plan", "deploy approval")
_HEAD = examples.commit("head 12")


def tree(*steps: str, **changes: object) -> dict[str, bytes]:
    return examples.recorded([examples.make(step, changes.get(step.replace(" ", "_"))) for step in steps])  # type: ignore[arg-type]


def before_merge(
    given: dict[str, bytes], trust: Trust | None = None, *, mr: int = 12, head: str = _HEAD
) -> tuple[str, ...]:
    return preconditions.unmet_before_merge(given, trust or examples.trust(), mr, head)


def before_apply(given: dict[str, bytes], *, stack: str = "production") -> tuple[str, ...]:
    manifest, plan = (examples.digest(f"final 12 {part}") for part in ("manifest", "plan"))
    return preconditions.unmet_before_apply(given, examples.trust(), 12, stack=stack, manifest=manifest, plan=plan)


def test_a_whole_chain_may_be_merged_and_applied() -> None:
    assert before_merge(tree(*_BEFORE_MERGE)) == ()
    assert before_apply(tree(*_BEFORE_MERGE, *_BEFORE_APPLY)) == ()


@pytest.mark.parametrize("left_out", _BEFORE_MERGE)
def test_what_is_missing_before_a_merge_is_named(left_out: str) -> None:
    assert before_merge(tree(*(step for step in _BEFORE_MERGE if step != left_out)))


@pytest.mark.parametrize("left_out", _BEFORE_APPLY)
def test_what_is_missing_before_an_apply_is_named(left_out: str) -> None:
    kept = (step for step in _BEFORE_APPLY if step != left_out)
    assert before_apply(tree(*_BEFORE_MERGE, *kept))


def test_another_head_than_that_of_the_newest_verdict_is_not_merged() -> None:
    (found,) = before_merge(tree(*_BEFORE_MERGE), head="0" * 40)
    assert "a verdict for the head 0000" in found


def test_a_plan_that_was_recorded_before_the_merge_stands_for_no_other() -> None:
    same = {"commit": examples.commit("merge 12"), "plan": examples.digest("final 12 plan")}
    found = tree(*_BEFORE_MERGE, "merge", "deploy approval", merge_plan=same)
    assert any("the plan of production" in item for item in before_apply(found))


def test_an_approval_that_was_recorded_before_its_plan_is_none() -> None:
    assert before_apply(tree(*_BEFORE_MERGE, "merge", "deploy approval", "plan"))


def test_a_stack_without_a_recorded_plan_is_not_applied() -> None:
    assert before_apply(tree(*_BEFORE_MERGE, *_BEFORE_APPLY), stack="staging")


@pytest.mark.parametrize("change", [{"approver": "factory-agent"}, {"approval_type": "simulated"}])
def test_an_approval_that_does_not_count_allows_no_apply(change: dict[str, object]) -> None:
    assert before_apply(tree(*_BEFORE_MERGE, *_BEFORE_APPLY, deploy_approval=change))


@pytest.mark.parametrize("more", [{"apply": {"result": "unknown"}}, {"apply": {"manifest": examples.digest("other")}}])
def test_faults_of_earlier_applies_and_merges_keep_no_approved_plan_back(more: dict[str, object]) -> None:
    assert before_apply(tree("merge", "apply", "deploy", "plan", "deploy approval", **more)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"merge_approval": {"head": "0" * 40}},
        {"merge_approval": {"policy": examples.digest("other")}},
        {"merge_approval": {"plan": examples.digest("other")}},
        {"merge_approval": {"approver": "factory-agent"}},
        {"merge_approval": {"approval_type": "simulated"}},
        {"verdict": {"result": "failed"}},
        {"verdict": {"head": "0" * 40}},
        {"attempt": {"session": "another"}},
        {"claim": {"issue": 8}},
    ],
)
def test_statements_that_do_not_fit_each_other_are_not_enough(change: dict[str, object]) -> None:
    assert before_merge(tree(*_BEFORE_MERGE, **change))


def test_a_log_with_a_changed_byte_and_another_key_are_not_enough() -> None:
    whole = tree(*_BEFORE_MERGE)
    path = min(path for path in whole if path.startswith(transparency_log.STATEMENTS))
    changed = {**whole, path: whole[path].replace(b"payload", b"payloaD", 1)}
    assert before_merge(changed)
    other = examples.signer("another")
    keys = {other.keyid: TrustedKey(other.public)}
    assert before_merge(whole, examples.trust(keys=keys))
    assert before_merge({})


def test_another_merge_requests_chain_is_not_this_ones() -> None:
    assert before_merge(tree(*_BEFORE_MERGE), mr=13)


def history(*steps: tuple[str, int, str, dict[str, object]]) -> str | None:
    """Return what production has after these steps: kind, merge request, stack, changes. Each has two stacks' plans."""
    made = []
    for index, (kind, mr, stack, changes) in enumerate(steps):
        of_stack: dict[str, object] = (
            {"manifest": examples.digest(f"{mr} {stack}")} if kind in {"plan", "apply"} else {}
        )
        of_stack |= {"stack": stack} if kind == "plan" else {"environment": stack} if kind == "deploy" else {}
        more: dict[str, object] = {} if kind in {"merge", "deploy"} else {"pipeline": 30 + mr}
        made.append(examples.make(kind, {**more, **of_stack, **changes}, mr=mr, key=f"{index}"))
    entries = transparency_log.read(examples.recorded(made))
    return preconditions.provided(entries, project="factory/shop", stack="production")


def planned(mr: int, *stacks: str) -> list[tuple[str, int, str, dict[str, object]]]:
    return [("merge", mr, "", {}), *(("plan", mr, stack, {}) for stack in stacks)]


def test_a_stack_has_the_newest_commit_whose_plan_is_applied_or_waits() -> None:
    first, second = planned(12, "staging", "production"), planned(13, "production")
    assert history(*first) == examples.commit("merge 12")
    assert history(*first, ("apply", 12, "production", {}), *second) == examples.commit("merge 13")
    assert history(*first, *planned(13, "staging")) == examples.commit("merge 12")
    assert history() is None
    assert history(*planned(12)) is None  # the job of its plan failed


@pytest.mark.parametrize(
    "failed",
    [
        [("apply", 12, "staging", {"result": "unknown"})],
        [("apply", 12, "staging", {"result": "refused"})],
        [("apply", 12, "staging", {}), ("deploy", 12, "staging", {"verified": False})],
    ],
)
def test_a_plan_behind_an_environment_that_failed_is_made_again(
    failed: list[tuple[str, int, str, dict[str, object]]],
) -> None:
    first = planned(12, "staging", "production")
    assert history(*first, *failed) is None
    assert history(*first, *failed, ("deploy", 12, "staging", {})) == examples.commit("merge 12")
    assert history(*first, *failed, ("apply", 12, "production", {})) == examples.commit("merge 12")


def test_a_refused_apply_that_was_played_again_is_no_failure() -> None:
    refused: tuple[str, int, str, dict[str, object]] = ("apply", 12, "staging", {"result": "refused"})
    first = planned(12, "staging", "production")
    assert history(*first, refused, ("apply", 12, "staging", {})) == examples.commit("merge 12")


def test_a_plan_of_what_was_not_merged_and_a_merge_requests_own_are_none() -> None:
    assert history(("plan", 12, "production", {})) is None
    assert history(("plan", 12, "production", {}), ("merge", 12, "", {})) is None
