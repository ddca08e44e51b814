"""Transcripts as values: shapes, what two of them share, and where a double is not like the real one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factory.gitlab.conformance_transcript import Answer, both, faults, of, template

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


def answer(shape: Any, *, call: str = "GET /x", status: int = 200, paged: bool = False) -> Answer:
    return Answer(call, status, paged, shape)


def test_a_path_without_its_numbers() -> None:
    path = "/api/v4/projects/a%2Fb/issues/7/notes"
    assert template(path, "a/b") == "/projects/:id/issues/:number/notes"
    assert template(f"/api/v4/projects/1/repository/commits/{'a' * 40}", "a/b").endswith("/commits/:sha")


def test_a_shape_holds_every_item_and_null_fits_anything() -> None:
    assert of([{"a": 1}, {"a": None, "b": "x"}]) == [{"a": "integer", "b": "string"}]
    assert of([]) == ["empty"]
    assert of([1, "x", True]) == ["boolean|integer|string"]


@given(JSON, JSON)
def test_what_holds_two_is_like_each(one: Any, other: Any) -> None:
    held = both(of(one), of(other))
    assert held == both(of(other), of(one))
    assert both(held, of(one)) == held
    for value in (one, other):
        assert not faults([answer(held)], [answer(of(value))]) or isinstance(held, str)


@given(JSON)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert faults([answer(of(value))], [answer(of(value))]) == []


def test_what_is_a_fault() -> None:
    real = [answer({"a": "integer", "b": ["string"], "c": {"d": "string"}})]

    def told(shape: Any, **more: Any) -> list[str]:
        return faults(real, [answer(shape, **more)])

    assert told({"a": "integer"}) == []
    assert told({"a": "null", "b": ["empty"]}) == []
    assert told({"z": "integer"}) == ["GET /x 200: .z is not in the real response"]
    assert told({"a": "string"}) == ["GET /x 200: .a is string, not integer"]
    assert told({"b": [{"x": "string"}]}) == ["GET /x 200: .b[] is object, not string"]
    assert told({"c": {"e": "string"}}) == ["GET /x 200: .c.e is not in the real response"]
    assert told({"c": "string"}) == ["GET /x 200: .c is string, not object"]
    assert told({}, status=201) == ["GET /x: 201, the real server answers 200"]
    assert told({}, call="GET /y") == ["GET /y: 200, the real server answers nothing"]
    assert told({}, paged=True) == ["GET /x: a page"]
