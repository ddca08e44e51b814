"""Trace: chains from requirement to result, and every way in which they break."""

import pytest

from factory.model.facts import CitedTest
from factory.specs.read import Spec, read
from factory.specs.rules import RULES
from factory.specs.trace import Commit, Issue, MergeRequest, Trace, Waiver, trace
from factory.specs.trailers import Trailers, trailers

FRONT = "---\nid: {}\ntitle: t\nstatus: {}\nversion: 1\nowner: o\n---\n"
PATH = "apps/a/tests/test_a.py"
DAY = "2026-06-30"


def spec(*ids: str, name: str = "a", status: str = "decided") -> Spec:
    body = "".join(f"- **{item}**: it holds\n" for item in ids)
    return read((FRONT.format(name, status) + body).encode(), source="s")


def cites(*ids: str, name: str = "test_x") -> CitedTest:
    return CitedTest(PATH, name, 3, ids)


def rules(found: Trace) -> list[tuple[str, str]]:
    return [(item.rule, item.message.split()[0]) for item in found.findings]


def passing(*ids: str) -> Trace:
    return trace([spec(*ids)], tests=[cites(*ids)], results={"apps.a.tests.test_a.test_x": "success"}, today=DAY)


def test_a_whole_chain() -> None:
    found = trace(
        [spec("A-1", "A-2")],
        tests=[cites("A-1"), cites("A-2", name="TestB.test_y")],
        results={"apps.a.tests.test_a.test_x[1.0]": "success", "apps.a.tests.test_a.TestB.test_y": "success"},
        issues=[Issue(3, "a"), Issue(4, "a"), Issue(5, "b")],
        merge_requests=[MergeRequest(7, issue=3), MergeRequest(8, "a")],
        commits=[Commit("c2", "a", ("A-2",), 3, 7), Commit("c1", "a"), Commit("c0", "b")],
        today=DAY,
    )
    one, two = found.rows
    assert (one.issues, one.merge_requests, one.commits, one.result) == ((4,), (8,), ("c1",), "passed")
    assert (two.issues, two.merge_requests, two.commits) == ((3, 4), (7, 8), ("c2", "c1"))
    assert [test.outcome for test in (*one.tests, *two.tests)] == ["success", "success"]
    assert found.findings == ()


@pytest.mark.parametrize(
    ("outcomes", "result", "rule"),
    [
        ({}, "not passed", "trace.untested"),
        ({"test_x": "skipped"}, "not passed", "trace.untested"),
        ({"test_x": "success"}, "passed", None),
        ({"test_x[a]": "success", "test_x[b.c]": "skipped"}, "passed", None),
        ({"test_x[a]": "success", "test_x[b]": "failed"}, "failed", "trace.failing"),
        ({"test_x": "error"}, "failed", "trace.failing"),
        ({"test_xy": "success"}, "not passed", "trace.untested"),
    ],
)
def test_results(outcomes: dict[str, str], result: str, rule: str | None) -> None:
    results = {f"apps.a.tests.test_a.{name}": outcome for name, outcome in outcomes.items()}
    found = trace([spec("A-1")], tests=[cites("A-1")], results=results, today=DAY)
    assert found.rows[0].result == result
    assert rules(found) == ([(rule, "A-1:" if rule == "trace.untested" else "A-1")] if rule else [])
    assert found.rows[0].findings == found.findings


def test_untested_counts_for_decided_specs_only() -> None:
    assert rules(trace([spec("A-1")], today=DAY)) == [("trace.untested", "A-1:")]
    assert rules(trace([spec("A-1", status="draft")], today=DAY)) == []
    assert trace([spec("A-1", status="superseded")], today=DAY).rows == ()


def test_a_recorded_pass_of_the_same_words_counts() -> None:
    one = spec("A-1")
    found = trace([one], tests=[cites("A-1")], passes={"A-1": one.requirements[0].digest}, today=DAY)
    assert (found.rows[0].result, found.findings) == ("recorded", ())


def test_drift() -> None:
    results = {"apps.a.tests.test_a.test_x": "success"}
    found = trace([spec("A-1")], tests=[cites("A-1")], results=results, passes={"A-1": "sha256:0"}, today=DAY)
    assert rules(found) == [("trace.drift", "A-1")]
    assert rules(passing("A-1")) == []


def test_orphans() -> None:
    found = trace([spec("A-1")], tests=[cites("A-9")], today=DAY)
    assert [(item.rule, item.path, item.line) for item in found.findings if item.rule != "trace.untested"] == [
        ("trace.orphan", PATH, 3)
    ]


def test_dropped_requirements() -> None:
    old = spec("A-2", name="old", status="superseded")
    assert rules(trace([old], tests=[cites("A-2")], today=DAY)) == [("trace.dropped", "test_x")]
    assert rules(trace([], commits=[Commit("c", "a", ("A-3",))], today=DAY)) == [("trace.dropped", "A-3")]
    assert rules(trace([], merge_requests=[MergeRequest(1, "a", ("A-3",))], today=DAY)) == [("trace.dropped", "A-3")]
    assert rules(trace([], passes={"A-4": "sha256:0"}, today=DAY)) == [("trace.dropped", "A-4")]
    assert rules(trace([], passes={"A-4": "sha256:0"}, tests=[cites("A-4")], today=DAY)) == [
        ("trace.dropped", "test_x")
    ]
    # What a superseded spec lists was given up on purpose; history may go on citing it.
    assert trace([old], commits=[Commit("c", "a", ("A-2",))], passes={"A-2": "x"}, today=DAY).findings == ()


def test_waivers_hold_through_their_last_day() -> None:
    waiver = Waiver("trace.untested", "A-1", "ada", "built next week", DAY)
    found = trace([spec("A-1")], waivers=[waiver], today=DAY)
    assert (found.findings, found.rows[0].findings) == ((), ())
    assert [(item.requirement, item.waiver) for item in found.waived] == [("A-1", waiver)]
    late = trace([spec("A-1")], waivers=[waiver], today="2026-07-01")
    assert [item.rule for item in late.findings] == ["trace.waiver-expired", "trace.untested"]
    assert late.waived == ()


def test_waivers_fit_rule_and_subject() -> None:
    for rule, subject in (("trace.drift", "A-1"), ("trace.untested", "A-2")):
        found = trace([spec("A-1")], waivers=[Waiver(rule, subject, "ada", "because", "2027-01-01")], today=DAY)
        assert rules(found) == [("trace.untested", "A-1:")]
    by_path = Waiver("trace.orphan", PATH, "ada", "because", "2027-01-01")
    assert trace([], tests=[cites("B-1")], waivers=[by_path], today=DAY).findings == ()
    unread = Waiver("trace.untested", "A-1", "ada", "because", "9999-99-99")
    assert "trace.waiver-expired" in {item.rule for item in trace([spec("A-1")], waivers=[unread], today=DAY).findings}


def test_part_of_a_trace() -> None:
    found = trace([spec("A-1", "A-2"), spec("B-1", name="b")], tests=[cites("Z-1")], today=DAY)
    assert [row.requirement for row in found.only("a").rows] == ["A-1", "A-2"]
    assert rules(found.only("B-1")) == [("trace.untested", "B-1:")]
    assert found.only("none").rows == ()


def test_every_rule_says_how_to_mend() -> None:
    assert all(rule.finds and rule.fix for rule in RULES.values())


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("fix", Trailers()),
        ("fix\n\nSpec: a\nIssue: #3\nRequirement: A-1\nRequirement: A-2, A-1\n", Trailers("a", ("A-1", "A-2"), 3)),
        ("Merge branch 'x' into 'main'\n\nfix\n\nSee merge request group/app!12", Trailers(merge_request=12)),
        ("> Requirement: A-1\nrequirement: A-1\nIssue: 3\nRequirement: a-1", Trailers()),
    ],
)
def test_trailers(message: str, said: Trailers) -> None:
    assert trailers(message) == said
