"""Events: every update comes to one, and every one to a line or to nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.agents import events

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KINDS = (
    "agent_message_chunk",
    "agent_thought_chunk",
    "user_message_chunk",
    "tool_call",
    "tool_call_update",
    "plan",
    "usage_update",
)
KEYS = ("content", "toolCallId", "title", "kind", "status", "entries", "used", "size", "text")
UPDATES = st.builds(
    lambda kind, rest: {"sessionUpdate": kind, **rest},
    st.sampled_from(KINDS) | JSON,
    st.dictionaries(st.sampled_from(KEYS), JSON),
)


@given(UPDATES)
def test_any_update_comes_to_an_event_and_a_line(update: dict[str, Any]) -> None:
    event = events.of_update(update)
    assert event["raw"] == update or update != update  # noqa: PLR0124 - a float that is no number
    assert isinstance(event["event"], str)
    assert isinstance(events.line(event), str)


@given(st.dictionaries(st.sampled_from(["event", "text", "title", "time", "raw"]) | st.text(), JSON))
def test_any_event_comes_to_a_line(event: dict[str, Any]) -> None:
    assert isinstance(events.line(event), str)


@pytest.mark.parametrize(
    ("update", "kind", "line"),
    [
        ({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}, "message", "message  hi"),
        ({"sessionUpdate": "user_message_chunk", "content": {"text": "hi"}}, "update", ""),
        (
            {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "ls", "kind": "execute", "status": "pending"},
            "tool",
            "tool  pending execute ls",
        ),
        ({"sessionUpdate": "plan", "entries": [{"content": "a"}, {"content": "b"}, 5]}, "plan", "plan  a; b"),
        ({"sessionUpdate": "usage_update", "used": 5, "size": 10}, "usage", ""),
        ({"sessionUpdate": "what"}, "update", ""),
    ],
)
def test_the_usual_ones(update: dict[str, Any], kind: str, line: str) -> None:
    event = events.of_update(update)
    assert (event["event"], events.line(event)) == (kind, line)


def test_a_line_for_a_person_is_bounded() -> None:
    assert len(events.line({"event": "message", "text": "x" * 10**6})) < 5000
