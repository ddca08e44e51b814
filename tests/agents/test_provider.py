"""What is read of a provider's answers: figures in every shape, none from nonsense, an estimate where none is told."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.agents import token_costs
from factory.agents.provider import Provider
from factory.agents.token_costs import Rates
from factory.model.agent import Reason

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
WHOLE = {"content-type": "application/json"}


def lines(*events: Any) -> bytes:
    return (
        b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    )


def pretty(body: Any) -> bytes:
    return json.dumps(body, indent=2).encode()


def heard(
    *parts: bytes, headers: dict[str, str] = STREAM, status: int = 200, sent: int = 400, over: bool = True
) -> Provider:
    provider = Provider()
    provider.asked(sent)
    provider.answered(1, status, headers)
    for part in parts:
        provider.said(1, part)
    if over:
        provider.done(1)
    return provider


RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 7,
    "total_tokens": 107,
}
MESSAGE = {"input_tokens": 10, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 50, "output_tokens": 1}
CHAT = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens": 7}
GEMINI = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 5, "thoughtsTokenCount": 2}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (STREAM, lines({"type": "response.created", "response": {"usage": None}}, {"response": {"usage": RESPONSES}})),
        (STREAM, lines({"message": {"usage": MESSAGE}}, {"delta": {}, "usage": {"output_tokens": 7}})),
        (STREAM, lines({"choices": [], "usage": None}, {"choices": [], "usage": CHAT})),
        (STREAM, lines({"usageMetadata": {"promptTokenCount": 100}}, {"usageMetadata": GEMINI})),
        (WHOLE, pretty({"id": "r", "usage": RESPONSES})),
        (WHOLE, pretty({"content": [], "usage": {**MESSAGE, "output_tokens": 7}})),
        (WHOLE, pretty({"choices": [], "usage": CHAT})),
        (WHOLE, pretty([{"usageMetadata": GEMINI}])),
        ({}, lines({"choices": [], "usage": CHAT})),
    ],
)
def test_every_shape_is_counted(headers: dict[str, str], body: bytes) -> None:
    provider = heard(body, headers=headers)
    wanted = {"input_tokens": 100, "cached_read_tokens": 40, "output_tokens": 7, "total_tokens": 107}
    counted = {name: count for name, count in provider.usage().items() if "write" not in name}
    assert counted == wanted
    assert not provider.estimated


def test_what_was_written_to_the_cache_is_priced_as_such() -> None:
    first = {"input_tokens": 6, "cache_creation_input_tokens": 159217, "cache_read_input_tokens": 0, "output_tokens": 1}
    provider = heard(lines({"message": {"usage": first}}, {"delta": {}, "usage": {**first, "output_tokens": 2745}}))
    assert provider.usage()["input_tokens"] == 159223
    assert token_costs.cost(provider.usage(), Rates(5, 0.5, 25)) == 1063761
    parts = {"ephemeral_5m_input_tokens": 159000, "ephemeral_1h_input_tokens": 217}
    provider = heard(pretty({"usage": {**first, "cache_creation": parts}}), headers=WHOLE)
    assert token_costs.cost(provider.usage(), Rates(4, 0, 0)) == 6 * 4 + 159000 * 5 + 217 * 8


def test_the_tokens_of_tools_results_are_counted() -> None:
    told = {"promptTokenCount": 12, "toolUsePromptTokenCount": 30, "candidatesTokenCount": 10}
    assert heard(pretty({"usageMetadata": told}), headers=WHOLE).usage()["total_tokens"] == 52


def test_answers_add_up_and_a_later_figure_of_one_answer_replaces_the_earlier() -> None:
    provider = heard(lines({"usage": {"input_tokens": 5, "output_tokens": 1}}, {"usage": {"output_tokens": 9}}))
    provider.answered(2, 200, WHOLE)
    provider.said(2, pretty({"usage": {"input_tokens": 1, "output_tokens": 1}}))
    provider.done(2)
    assert provider.usage()["total_tokens"] == 16


def test_what_is_not_reported_is_estimated() -> None:
    words = [{"choices": [{"delta": {"content": "abcd" * 10}}]}] * 5
    provider = heard(lines(*words), over=False)
    assert provider.usage()["output_tokens"] == 50, "while it streams"
    provider.done(1)
    assert provider.estimated
    assert (provider.usage()["input_tokens"], provider.usage()["output_tokens"]) == (100, 50)


def test_one_answer_that_reports_does_not_hide_those_that_do_not() -> None:
    provider = heard(pretty({"usage": {"input_tokens": 1, "output_tokens": 1}}), headers=WHOLE)
    provider.asked(4000)
    provider.answered(2, 200, WHOLE)
    provider.said(2, b"x" * 400)
    provider.done(2)
    assert provider.usage()["total_tokens"] == 2 + 1000 + 100
    assert provider.estimated


def test_breaking_an_answer_off_before_its_count_is_no_way_to_get_it_for_nothing() -> None:
    told = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 4000}}
    provider = heard(lines({"message": {"usage": MESSAGE}}, told))
    assert provider.usage()["input_tokens"] == 100
    assert provider.usage()["output_tokens"] > 1000
    assert provider.estimated


@pytest.mark.parametrize(
    ("body", "sent", "status"),
    [(b'{"input_tokens": 9000}', 40_000, 200), (b'{"data": []}', 0, 200), (b'{"error": "no"}', 40_000, 400)],
    ids=["counting tokens", "a list of models", "a refusal"],
)
def test_what_costs_nothing(body: bytes, sent: int, status: int) -> None:
    provider = heard(body, headers=WHOLE, sent=sent, status=status)
    assert provider.usage() == {}
    assert not provider.estimated


@pytest.mark.parametrize(
    ("status", "headers", "reason", "lost"),
    [
        (401, {}, Reason.AUTH_FAILED, False),
        (403, {}, Reason.AUTH_FAILED, False),
        (402, {}, Reason.AUTH_FAILED, False),
        (429, {"retry-after": "3"}, Reason.PROVIDER_LIMITED, False),
        (429, {"retry-after": "600"}, Reason.PROVIDER_LIMITED, True),
        (429, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, Reason.PROVIDER_LIMITED, True),
        (503, {"retry-after": "²"}, Reason.PROVIDER_LIMITED, True),
        (500, {"retry-after": "9" * 500}, Reason.PROVIDER_LIMITED, True),
        (400, {}, Reason.CRASHED, False),
    ],
)
def test_refusals(status: int, headers: dict[str, str], reason: Reason, lost: bool) -> None:  # noqa: FBT001
    provider = heard(b"{}", status=status, headers=headers)
    trouble = provider.trouble()
    assert trouble is not None
    assert trouble[0] is reason
    assert (provider.lost() is not None) is lost
    assert bool(provider.reset_at) is (reason is Reason.PROVIDER_LIMITED)


def test_trouble_is_over_with_an_answer_that_serves() -> None:
    provider = heard(status=429)
    provider.answered(2, 200, STREAM)
    assert provider.trouble() is None


def test_one_bad_request_among_good_ones_is_no_trouble() -> None:
    provider = heard(lines({"usage": CHAT}))
    provider.answered(2, 404, {})
    provider.done(2)
    assert provider.trouble() is None


def test_a_provider_that_is_not_there() -> None:
    provider = Provider()
    provider.unreachable("127.0.0.1:1 does not answer")
    assert provider.trouble() == (
        Reason.PROVIDER_LIMITED,
        "the model's provider cannot be reached: 127.0.0.1:1 does not answer",
    )


def test_an_endless_loop_of_useless_answers_is_lost() -> None:
    provider = Provider()
    for number in range(30):
        provider.answered(number, 200, WHOLE)
        provider.said(number, b"garbage")
        provider.done(number)
    assert provider.lost() is not None


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


NUMBERS = st.integers(-(2**70), 2**70) | st.booleans() | st.none() | st.floats() | st.text()
USAGES = st.dictionaries(
    st.sampled_from([*RESPONSES, *MESSAGE, *CHAT, *GEMINI]), NUMBERS | st.dictionaries(st.text(), NUMBERS)
)
BODIES = st.one_of(
    st.binary(),
    st.lists(
        st.dictionaries(st.sampled_from(["usage", "message", "response", "usageMetadata", "delta"]), USAGES | NUMBERS)
    ).map(lambda events: lines(*events)),
    USAGES.map(lambda usage: pretty({"message": {"usage": usage}, "usage": usage})),
)


@given(
    BODIES,
    st.lists(st.integers(0, 10_000)),
    st.sampled_from([STREAM, WHOLE, {}]),
    st.integers(-5, 999),
    st.text(st.characters(max_codepoint=255)),
)
def test_any_bytes_cut_anywhere_give_the_same_usage_and_none_below_nought(
    body: bytes, places: list[int], headers: dict[str, str], status: int, wait: str
) -> None:
    headers = {**headers, "retry-after": wait}
    whole = heard(body, headers=headers, status=status)
    parts = heard(*cut(body, places), headers=headers, status=status)
    assert whole.usage() == parts.usage()
    assert all(value >= 0 for value in whole.usage().values())


def test_a_line_that_never_ends_costs_no_memory_and_hides_nothing_after_it() -> None:
    parts = [b"x" * 1_000_000] * 10
    assert heard(*parts, b"\n" + lines({"usage": CHAT})).usage()["total_tokens"] == 107
