"""Which steps of a script answer which request."""

import pytest

from factory.errors import InvalidInput
from factory.local_model.script import Call, Fail, Flood, Garbage, Hang, Reply, Run, Say, Usage, Write, read, reply

STEPS = (Say("first. "), Run("make", Usage(5, 6)), Write("a", "b"), Hang(2), Say("all "), Say("done"))


def test_a_reply_ends_at_a_tool_call() -> None:
    assert reply(STEPS, 0) == Reply("first. ", act=STEPS[1], usage=Usage(5, 6))
    assert reply(STEPS, 1).act == Write("a", "b")
    assert reply(STEPS, 2) == Reply("all done", wait=2)


def test_past_the_last_step_a_final_message() -> None:
    assert reply(STEPS, 9).text == "Done."
    assert reply((), 0, final="bye").text == "bye"


@pytest.mark.parametrize("broken", [Fail(500), Garbage()])
def test_a_break_is_the_whole_reply(broken: Fail | Garbage) -> None:
    assert reply((Hang(1), broken, Say("never")), 0) == Reply(broken=broken, wait=1)


def test_a_flood_is_a_text_of_that_size() -> None:
    assert len(reply((Flood(1000),), 0).text) == 1000


def test_steps_are_read_from_json() -> None:
    data = [
        {"say": "hi", "usage": {"input": 1, "output": 2}},
        {"run": "ls"},
        {"write": {"path": "a", "content": "b"}},
        {"call": {"tool": "done", "arguments": {"summary": "s"}}},
        {"fail": {"status": 429, "retry_after": 3}},
        {"hang": 0.5},
        {"garbage": True},
        {"flood": 10},
    ]
    assert read(data) == (
        Say("hi", Usage(1, 2)),
        Run("ls"),
        Write("a", "b"),
        Call("done", {"summary": "s"}),
        Fail(429, retry_after=3),
        Hang(0.5),
        Garbage(),
        Flood(10),
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        ["say"],
        [{}],
        [{"say": "a", "run": "b"}],
        [{"sing": "la"}],
        [{"write": {"path": "a"}}],
        [{"say": "", "usage": {"x": 1}}],
    ],
)
def test_what_is_no_script_is_refused(data: object) -> None:
    with pytest.raises(InvalidInput):
        read(data)
