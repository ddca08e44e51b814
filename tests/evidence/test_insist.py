"""What must be recorded before a merge, and before an apply."""

import pytest

from factory.evidence import insist, transparency_log
from factory.evidence.trust import TrustedKey
from tests.evidence import examples

_BEFORE_MERGE = ("claim", "attempt", "verdict", "merge plan", "merge approval")
_BEFORE_APPLY = (*_BEFORE_MERGE, "merge", "plan", "deploy approval")


def tree(*steps: str, **changes: object) -> dict[str, bytes]:
    return examples.recorded([examples.make(step, changes.get(step.replace(" ", "_"))) for step in steps])  # type: ignore[arg-type]


def test_a_whole_chain_may_be_merged_and_applied() -> None:
    assert insist.unmet_before_merge(tree(*_BEFORE_MERGE), examples.trust(), 12) == ()
    assert insist.unmet_before_apply(tree(*_BEFORE_APPLY), examples.trust(), 12, "production") == ()


@pytest.mark.parametrize("left_out", _BEFORE_MERGE)
def test_what_is_missing_before_a_merge_is_named(left_out: str) -> None:
    found = insist.unmet_before_merge(tree(*(step for step in _BEFORE_MERGE if step != left_out)), examples.trust(), 12)
    assert found, left_out


@pytest.mark.parametrize("left_out", _BEFORE_APPLY)
def test_what_is_missing_before_an_apply_is_named(left_out: str) -> None:
    kept = tree(*(step for step in _BEFORE_APPLY if step != left_out))
    assert insist.unmet_before_apply(kept, examples.trust(), 12, "production"), left_out


def test_a_stack_without_a_recorded_plan_is_not_applied() -> None:
    assert insist.unmet_before_apply(tree(*_BEFORE_APPLY), examples.trust(), 12, "staging") == ("a plan of staging",)


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
    assert insist.unmet_before_merge(tree(*_BEFORE_MERGE, **change), examples.trust(), 12)


def test_a_log_with_a_changed_byte_and_another_key_are_not_enough() -> None:
    whole = tree(*_BEFORE_MERGE)
    path = min(path for path in whole if path.startswith(transparency_log.STATEMENTS))
    changed = {**whole, path: whole[path].replace(b"payload", b"payloaD", 1)}
    assert insist.unmet_before_merge(changed, examples.trust(), 12)
    other = examples.signer("another")
    keys = {other.keyid: TrustedKey(other.public)}
    assert insist.unmet_before_merge(whole, examples.trust(keys=keys), 12)
    assert insist.unmet_before_merge({}, examples.trust(), 12)


def test_another_merge_requests_chain_is_not_this_ones() -> None:
    assert insist.unmet_before_merge(tree(*_BEFORE_MERGE), examples.trust(), 13)
