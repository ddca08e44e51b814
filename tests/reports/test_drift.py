"""The table of what differs: a row for each attribute, what is gone as such, and nothing that acts on who reads it."""

from hypothesis import given
from hypothesis import strategies as st

from factory.model.facts import PlannedChange
from factory.reports import drift

TEXTS = st.text(max_size=30)


def test_a_row_for_each_attribute_and_for_what_is_gone() -> None:
    changed = PlannedChange("dns.www", "dns", ("update",), {"content": "a|b", "ttl": 1}, {"content": "@c", "ttl": None})
    gone = PlannedChange("dns.old", "dns", ("delete",), {}, {})
    assert drift.render([changed, gone]).splitlines() == [
        "2 resources:",
        "",
        "| resource | attribute | in the state | actual |",
        "|---|---|---|---|",
        "| `dns.old` | (whole resource) | present | deleted |",
        "| `dns.www` | content | a\\|b | \\@c |",
        "| `dns.www` | ttl | 1 | (none) |",
    ]


@given(TEXTS, st.lists(st.sampled_from(["delete", "update", "x"]), max_size=2).map(tuple), TEXTS, TEXTS)
def test_any_text_stays_in_its_cell_and_the_table_is_bounded(
    address: str, actions: tuple[str, ...], one: str, two: str
) -> None:
    change = PlannedChange(address, "t", actions, {one: two}, {one: {one: two}})
    table = drift.render([change] * 500)
    assert len(table) < 15_000
    assert "<script" not in table
    rows = table.splitlines()[4:]
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows if row.startswith("|"))
