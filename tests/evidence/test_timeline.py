"""What happened, in the order of the log and in words."""

from factory.evidence import timeline, transparency_log
from factory.evidence.kinds import DESCRIPTIONS
from tests.evidence import examples

ENTRIES = transparency_log.read(examples.recorded(examples.statements()))


def test_a_merge_request_has_what_came_before_it() -> None:
    events = timeline.of_merge_request(ENTRIES, 12)
    assert [event.kind for event in events] == [entry.kind for entry in ENTRIES]
    assert events[0].said == "issue #7 of operator is claimed by session s-7"
    assert events[1].said.startswith("attempt 1 of session s-7 by replay 1: done_for_review, commit ")
    assert events[1].said.endswith(", 0.0000 USD")
    assert timeline.of_issue(ENTRIES, 7) == timeline.of_release(ENTRIES, "v1") == events


def test_nothing_is_told_of_what_no_statement_names() -> None:
    assert timeline.of_merge_request(ENTRIES, 13) == timeline.of_issue(ENTRIES, 8) == ()
    assert timeline.of_release(ENTRIES, "v2") == ()


def test_another_merge_requests_statements_are_left_out() -> None:
    other = [examples.make("claim", examples.predicates(issue=8, mr=13)["claim"], issue=8)]
    entries = transparency_log.read(examples.recorded([*examples.statements(), *other]))
    assert [event.kind for event in timeline.of_issue(entries, 8)] == ["claim"]
    assert len(timeline.of_merge_request(entries, 12)) == len(entries) - 1


def test_every_kind_has_words() -> None:
    assert set(timeline.WORDS) == set(DESCRIPTIONS)
