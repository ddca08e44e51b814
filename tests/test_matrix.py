"""Tests of the draw of a matrix' rows."""

from hypothesis import given
from hypothesis import strategies as st

from tests.matrix import Row, drawn

ROWS = [*(Row("a", f"a.py::test_a[{n}]", 10) for n in range(40)), *(Row("b", f"a.py::test_b{n}", 3) for n in range(5))]


@given(st.integers(0, 10**6))
def test_each_test_keeps_its_number_of_rows(number: int) -> None:
    found = drawn(ROWS, number)
    assert sum("test_a" in row for row in found) == 10
    assert sum("test_b" in row for row in found) == 3
    assert len(set(found)) == 13
    assert set(drawn(reversed(ROWS), number)) == set(found)


def test_the_days_draw_every_row_after_a_while() -> None:
    assert {row for number in range(60) for row in drawn(ROWS, number)} == {row.id for row in ROWS}
