"""``rules:if`` expressions: their values, and the error for invalid expressions."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.local_gitlab.definition.conditions import admitted, evaluate

VARIABLES = {"A": "one", "B": "two", "EMPTY": "", "PATTERN": "/^o.e$/", "LINES": "x\none", "T": "true", "F": "false"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$A", True),
        ("$EMPTY", False),
        ("$NONE", False),
        ("${A}", True),
        ("$F", True),
        ('$A == "one"', True),
        ("$A == 'two'", False),
        ('"one" == $A', True),
        ("$A != 'two'", True),
        ("$A == $B", False),
        ("$NONE == $MISSING", True),
        ("$NONE == null", True),
        ("$EMPTY == null", False),
        ("$A != null", True),
        ('$EMPTY == ""', True),
        ('$NONE == ""', False),
        ("$A =~ /^o/", True),
        ("$A =~ /^O/", False),
        ("$A =~ /^O/i", True),
        ("$A !~ /^t/", True),
        ("$A =~ $PATTERN", True),
        ("$NONE =~ /x/", False),
        ("$NONE !~ /x/", True),
        ("$A =~ $NONE", False),
        ("$A !~ $NONE", True),
        (r"'a/b' =~ /a\/b/", True),
        ("$LINES =~ /^one$/", False),
        ("$LINES =~ /^one$/m", True),
        ("$LINES =~ /x.one/", False),
        ("$LINES =~ /x.one/s", True),
        ("$LINES =~ /X.ONE/isU", True),
        ("$A && $NONE", False),
        ("$A || $NONE", True),
        ("$A || $A && $NONE", True),
        ("($A || $A) && $NONE", False),
        ("$NONE && $A || $B", True),
        ("$NONE && ($A || $B)", False),
        ("$A == 'one' && $B == 'two'", True),
        ("$A=='one'&&$B=~/two/", True),
        ("  $A   ==\n 'one'  ", True),
        ("null == null", True),
        ("((($A)))", True),
    ],
)
def test_the_value_of_an_expression(expression: str, *, expected: bool) -> None:
    assert evaluate(expression, VARIABLES) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "   ",
        "$A ==",
        "== $A",
        "$A = 'one'",
        "$A == 'one",
        "$A 'one'",
        "$A == 'one' == 'one'",
        "($A",
        "$A)",
        "()",
        "$A &&",
        "&& $A",
        "$A & $B",
        "$A =~ 'one'",
        "$A =~ $B",
        "$A =~ /(/",
        "$A =~ /one/q",
        "$A =~ /a{99999999999}/",
        "$A =~ //",
        "$A =~ /one",
        "one",
        "$1",
        "$",
        "True",
        "(" * 5000,
        "(" * 5000 + "$A" + ")" * 5000,
        "$A =~ /" + "(" * 5000 + ")" * 5000 + "/",
    ],
)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInput):
        evaluate(expression, VARIABLES)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (None, True),
        ([], False),
        ([{}], True),
        ([{"when": "always"}], True),
        ([{"when": "never"}], False),
        ([{"if": "$NONE"}], False),
        ([{"if": "$A", "when": "never"}, {"when": "always"}], False),
        ([{"if": "$NONE", "when": "never"}, {"when": "always"}], True),
        ([{"if": "$NONE"}, {"if": "$A"}], True),
        ([{"if": "$A"}, {"if": "not read once a rule has matched ("}], True),
    ],
)
def test_the_first_matching_rule_decides(rules: Any, *, expected: bool) -> None:
    assert (admitted(rules, VARIABLES) is not None) is expected


@pytest.mark.parametrize("rules", ["always", {"if": "$A"}, ["$A"], [[{"if": "$A"}]], 1, [{"if": True}], [{"if": []}]])
def test_rules_of_another_shape(rules: Any) -> None:
    with pytest.raises(InvalidInput):
        admitted(rules, VARIABLES)


_WORDS = st.sampled_from(
    [
        "$A",
        "$NONE",
        "${B}",
        "null",
        "'x'",
        '"y"',
        "/x/",
        "/[/",
        "/x/i",
        "==",
        "!=",
        "=~",
        "!~",
        "&&",
        "||",
        "(",
        ")",
        " ",
        "/",
    ]
)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.lists(_WORDS, max_size=12).map(" ".join) | st.text(max_size=30) | st.text("$A={}()/|&!~'\" [x", max_size=30))
def test_any_text_is_a_boolean_or_invalid_input(text: str) -> None:
    with suppress(InvalidInput):
        assert evaluate(text, VARIABLES) in {True, False}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.text(min_size=1, max_size=20).filter(lambda text: "\n" not in text))
def test_any_pattern_in_a_variable_is_a_boolean_or_invalid_input(text: str) -> None:
    with suppress(InvalidInput):
        assert evaluate("$A =~ $P", {"A": "one", "P": f"/{text}/"}) in {True, False}


class Truth:
    """An expression and its value, computed with Python's operators."""

    def __init__(self, text: str, *, value: bool) -> None:
        self.text = text
        self.value = value


def _join(parts: tuple[Truth, str, Truth]) -> Truth:
    left, operator, right = parts
    value = (left.value and right.value) if operator == "&&" else (left.value or right.value)
    return Truth(f"({left.text}) {operator} ({right.text})", value=value)


_TRUTHS = st.recursive(
    st.sampled_from([Truth("$A", value=True), Truth("$NONE", value=False), Truth("$A == 'two'", value=False)]),
    lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(_join),
    max_leaves=12,
)


@given(_TRUTHS)
def test_parentheses_and_operators_nest(truth: Truth) -> None:
    assert evaluate(truth.text, VARIABLES) is truth.value


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["&&", "||"])), min_size=1, max_size=10))
def test_and_binds_closer_than_or(parts: list[tuple[bool, str]]) -> None:
    ours = "".join(f"{'$A' if value else '$NONE'} {operator} " for value, operator in parts) + "$A"
    words = "".join(f"{value} {'and' if operator == '&&' else 'or'} " for value, operator in parts) + "True"
    assert evaluate(ours, VARIABLES) is eval(words)
