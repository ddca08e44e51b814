"""JSON with comments, as wrangler writes it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from factory.apps.detection.wrangler import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.sampled_from('ab"\\/*,]}\n')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from(["", " ", "// a ]\n", '/* , " */']))
def test_a_value_with_comments_and_commas_is_that_value(value: object, comment: str) -> None:
    plain = json.dumps(value, indent=1)
    commented = "\n".join(f"{line}{comment}" for line in plain.split("\n"))
    assert json.loads(plain_json(commented)) == value


def test_a_comma_before_the_end_counts_for_nothing() -> None:
    assert json.loads(plain_json('{"a": [1, 2, /* x */ ], }')) == {"a": [1, 2]}
    assert json.loads(plain_json('"a, ]"')) == "a, ]"
