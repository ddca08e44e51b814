"""Results on disk: in the order of the attempts, without those that were lost or cancelled."""

from pathlib import Path

import pytest

from factory.errors import InvalidInput
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult, Cost, Escalation, RequestRecord
from factory.workflow.session import results

FULL = AttemptResult(
    attempt=3,
    base="a" * 40,
    head="b" * 40,
    reason=Reason.NEEDS_INPUT,
    detail="é",
    agent=AgentRef("codex", "2", "gpt", "sha256:1"),
    tree="c" * 40,
    seconds=1.5,
    usage={"total_tokens": 12, "input_tokens": 10},
    cost=Cost(5, "2026", "agent"),
    level="bwrap",
    limits={"memory": "cgroup"},
    message="said",
    calls=2,
    resume="r",
    reset_at="2026-11-30T00:00:00Z",
    escalation=Escalation.STRONGER,
    question="why?",
    outputs=(RequestRecord("1", "comment", "admitted", None, "sha256:2"),),
    refused=("label: no",),
    proposed=True,
    handed_back=True,
)


def written(session: Path, name: str, number: int, message: str) -> None:
    made = AttemptResult(number, "a", None, Reason.DONE_FOR_REVIEW, "", AgentRef("replay"), message=message)
    results.write(session / name, made)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    assert results.read(tmp_path) is None
    assert results.write(tmp_path, FULL) == FULL
    assert results.read(tmp_path) == FULL


def test_attempts_are_in_order_and_those_put_aside_do_not_count(tmp_path: Path) -> None:
    for number in (1, 2, 10, 11):
        written(tmp_path, f"attempt-{number}", number, f"said {number}")
    written(tmp_path, "attempt-2-ended-1", 2, "cancelled")
    written(tmp_path, "attempt-3-lost-1", 3, "lost")
    (tmp_path / "attempt-12").mkdir()
    assert [item.attempt for item in results.read_all(tmp_path)] == [1, 2, 10, 11]
    assert results.read_all(tmp_path)[-1].message == "said 11"


@pytest.mark.parametrize("text", ["", "{}", '{"attempt": 1}', "[]", '{"unknown": 1}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "turn.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"turn\.json"):
        results.read(tmp_path)
