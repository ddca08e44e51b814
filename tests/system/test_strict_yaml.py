"""YAML with lines: where values stand, and what is refused with file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.system.strict_yaml import Marks, load, load_marked

TEXT = """\
# a comment
a: 1
b:
  - x
  - {c: 1,
     d: 2}
e: {}
"""
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=8,
)


def test_where_values_stand() -> None:
    value, marks = load_marked(TEXT, source="f.yml")
    assert value == {"a": 1, "b": ["x", {"c": 1, "d": 2}], "e": {}}
    assert marks.lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 1): 5,
        ("b", 1, "c"): 5,
        ("b", 1, "d"): 6,
        ("e",): 7,
    }
    assert marks.line(("b", 1, "none", "deeper")) == 5
    assert marks.line(("none",)) == 2
    assert Marks({}).line(("a",)) == 1


def test_an_empty_document_is_nothing() -> None:
    assert load_marked("# nothing\n", source="f.yml") == (None, Marks({}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "f.yml:2:1: duplicate key 'a'"),
        ("a: &x 1\nb: *x", "f.yml:2:4: aliases are not supported"),
        ("a: &x [*x]", "f.yml:1:8: aliases"),
        ("\n<<: {a: 1}", "f.yml:2:1: the type tag:yaml.org,2002:merge"),
        ("a: !!binary aGk=", "f.yml:1:4: the type"),
        ("a:\n  !!timestamp x", "f.yml:2:3: the type"),
        ("a: !!python/name:os.system x", "f.yml:1:4: the type"),
        ("a: 1\n---\nb: 1", "f.yml:2:1"),
        ("a\nb\0", "f.yml:2: special characters"),
        ("? [1]\n: 2", "f.yml:1:3: a key must be a plain value"),
        ("a:\n- b: !!bool x", "f.yml:2:6: the value does not match its type"),
        ("!!map [1]", "f.yml:1:1: expected a mapping"),
        ("[" * 5000, "f.yml"),
    ],
)
def test_what_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_marked(text, source="f.yml")
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize("text", ['a: !!int ""', "a: !!timestamp x", "a: 0b_", "? !!set {a}\n: 1", "!!map [1]"])
def test_odd_types_are_errors_and_no_tracebacks(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"f\.yml:1"):
        load(text, source="f.yml")


@given(st.text(max_size=80) | st.text("ab:-[]{}!&*?#|>'\"\n ,<=0", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value, marks = load_marked(text, source="f.yml")
    except InvalidInput as error:
        told = str(error)
    else:
        told = "f.yml"
        assert value == load(text, source="f.yml") or value != value  # noqa: PLR0124 - not a number
        assert all(1 <= line <= text.count("\n") + text.count("\r") + 2 for line in marks.lines.values())
    assert told.startswith("f.yml")


@given(PLAIN)
def test_plain_values_come_back_and_every_part_has_a_line(value: object) -> None:
    def parts(inner: object) -> int:
        items = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        return 1 + sum(parts(item) for item in items)

    read, marks = load_marked(json.dumps(value), source="f.yml")
    assert read == value
    assert len(marks.lines) == parts(value)
