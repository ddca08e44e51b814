"""References in the values of variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.local_gitlab.definition.variables import expanded


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({"A": "a", "B": "b$A", "C": "c${B}", "D": "d$C"}, {"A": "a", "B": "ba", "C": "cba", "D": "dcba"}),
        ({"E": "p$$q", "F": "r$E"}, {"E": "p$q", "F": "rp$q"}),
        ({"A": "$B", "B": "$A"}, {"A": "", "B": ""}),
        ({"A": "x$KNOWN$NOTHING"}, {"A": "xknown"}),
        ({"PATH": "/here:$PATH"}, {"PATH": "/here:/bin"}),
    ],
)
def test_references_are_replaced_however_deep(own: dict[str, str], wanted: dict[str, str]) -> None:
    assert expanded(own, {"KNOWN": "known", "PATH": "/bin"}) == wanted


def test_a_raw_value_stays_as_written_where_it_stands_and_where_it_is_named() -> None:
    assert expanded({"A": "x$B", "B": "b$$", "C": "c$A"}, {}, raw={"A", "B"}) == {"A": "x$B", "B": "b$$", "C": "cx$B"}


def test_a_few_lines_never_grow_without_end() -> None:
    own = {"V0": "x" * 100} | {f"V{number}": f"$V{number - 1}" * 10 for number in range(1, 40)}
    assert max(len(value) for value in expanded(own, {}).values()) <= 2**16


@given(st.dictionaries(st.sampled_from("ABCDE"), st.text(alphabet="x$ABCDE{}", max_size=12)))
def test_every_definition_ends_and_keeps_its_names(own: dict[str, str]) -> None:
    assert expanded(own, {}).keys() == own.keys()
