"""The note on plans: what is destroyed comes first, values are folded and neutral, sensitive ones are not there."""

from hypothesis import given
from hypothesis import strategies as st

from factory.model.facts import Plan, PlannedChange
from factory.reports import plans

WWW = PlannedChange("dns.www", "dns", ("update",), {"content": "a", "ttl": 1}, {"content": "b", "ttl": 1}, {})
OLD = PlannedChange("dns.old", "dns", ("delete",), {"content": "(sensitive)"}, None, None)
NEW = PlannedChange("dns.new", "dns", ("create",), None, {"name": "x"}, {"id": True})
BOTH = PlannedChange("dns.both", "dns", ("delete", "create"), {"name": "x"}, {"name": "y"}, {})
STAYS = PlannedChange("dns.stays", "dns", ("no-op",), {"name": "x"}, {"name": "x"}, {})
TEXTS = st.text(max_size=30)


def test_what_is_destroyed_comes_first_and_values_are_folded() -> None:
    note = plans.render([Plan("production", "sha256:0", (WWW, NEW, OLD, BOTH, STAYS))])
    assert "**production**: 1 to destroy, 1 to replace, 1 to update, 1 to create (5 resources)" in note
    assert [word for word in ("dns.old", "dns.both", "dns.www", "dns.new") if word in note] == sorted(
        ("dns.old", "dns.both", "dns.www", "dns.new"), key=note.index
    )
    assert "content: a → b" in note
    assert "id: (none) → (known after the apply)" in note
    assert "ttl" not in note
    assert "dns.stays" not in note
    assert note.index("<details>") < note.index("dns.old")


def test_no_stack_no_change_and_no_plan() -> None:
    assert "affects no stack" in plans.render([])
    assert "no changes" in plans.render([Plan("a", "d", (STAYS,))])
    assert "no plan: it \\@failed" in plans.render([Plan("a", "", problem="it @failed")])


def test_lines_for_a_terminal() -> None:
    assert plans.lines(Plan("a", "d", (OLD, NEW))) == ["− dns.old", "+ dns.new"]  # noqa: RUF001 - the sign is a minus


@given(TEXTS, st.lists(st.sampled_from(["create", "delete", "update", "x"]), max_size=3).map(tuple), TEXTS, TEXTS)
def test_any_text_is_neutral_and_the_note_is_bounded(
    address: str, actions: tuple[str, ...], one: str, two: str
) -> None:
    change = PlannedChange(address, "t", actions, {one: two}, {one: one}, {two: True})
    note = plans.render([Plan("s", "d", (change,) * 200)])
    assert len(note) < 20_000
    assert "<script" not in note
