"""Names of refs, and the rules that match them."""

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.local_gitlab.refs.ref_names import NEVER_IN_A_NAME, as_rule, covers, is_branch_name

NAMES = st.text(alphabet="ab/.-[]?\\n", max_size=8)


@given(st.text(alphabet="ab/.@{~^: *[?\\-\x00\x7f\u00e9lock", max_size=12))
def test_branch_names_are_valid_as_git_defines(text: str) -> None:
    if "\0" in text or text.startswith("@{-"):
        return
    taken = subprocess.run(["git", "check-ref-format", "--branch", text], capture_output=True, check=False)
    assert is_branch_name(text) == (taken.returncode == 0)
    assert not (is_branch_name(text) and NEVER_IN_A_NAME.search(text))


@given(st.lists(NAMES, min_size=1, max_size=4), NAMES)
def test_the_star_is_the_only_wildcard(parts: list[str], between: str) -> None:
    assert covers("*".join(parts), between.join(parts))
    assert covers("*", between)
    assert covers("".join(parts), between) is ("".join(parts) == between)
    assert covers("*".join(parts), between) is bool(re.fullmatch("(?s:.*)".join(map(re.escape, parts)), between))


@given(st.text(alphabet="ab/.*^$\\-", max_size=8), NAMES)
def test_a_simple_regular_expression_is_a_rule(expression: str, name: str) -> None:
    rule = as_rule(expression)
    if rule is not None:
        assert covers(rule, name) is bool(
            re.search(expression.removesuffix("$") + r"\Z" * expression.endswith("$"), name)
        )


@pytest.mark.parametrize(
    ("expression", "rule"),
    [("", "**"), ("^a/.*$", "a/*"), (r"^a\-.*b", "a-*b*"), ("a|b", None), ("a+", None), (r"\w", None), ("a.b", None)],
)
def test_other_regular_expressions_are_not(expression: str, rule: str | None) -> None:
    assert as_rule(expression) == rule
