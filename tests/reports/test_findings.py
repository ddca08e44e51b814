"""Findings as text: for a terminal, for the Code Quality widget, for an agent."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factory.model.verdict import Finding, Verdict
from factory.reports import findings

FAILED = Finding("unit.failed", "test_greets: assert 1 == 2", "Make it pass.", "apps/hello/tests/test_hello.py", 12)
FLAG = Finding("spec.weaker", "an assertion is gone", "Look at it.", "apps/hello/tests/test_hello.py")
ACCEPTED = Finding("types.error", "untyped", "Annotate it.", "apps/hello/src/hello.py", 3)


def moved(finding: Finding, line: int) -> Finding:
    return Finding(finding.rule, finding.message, finding.fix, finding.path, line)


def quality(*verdicts: Verdict) -> list[dict[str, Any]]:
    return list(json.loads(findings.code_quality(verdicts)))


def test_lines_tell_gates_findings_flags_and_what_is_excused() -> None:
    verdicts = [
        Verdict("unit", "failed", (FAILED,), flags=(FLAG,), excused=(ACCEPTED,)),
        Verdict("plan", "skipped", reason="there is no plan"),
    ]
    assert findings.lines(verdicts) == [
        "✗ unit       failed",
        "    unit.failed  apps/hello/tests/test_hello.py:12  test_greets: assert 1 == 2",
        "    → Make it pass.",
        "    ! spec.weaker  apps/hello/tests/test_hello.py  an assertion is gone",
        "    → Look at it.",
        "    ~ types.error  apps/hello/src/hello.py:3  untyped",
        "- plan       skipped (there is no plan)",
    ]


def test_code_quality_has_gitlabs_fields() -> None:
    issue, flag = quality(Verdict("unit", "failed", (FAILED,), flags=(FLAG,), excused=(ACCEPTED,)))
    assert issue["description"] == "test_greets: assert 1 == 2 — Make it pass."
    assert issue["check_name"] == "unit.failed"
    assert issue["location"] == {"path": "apps/hello/tests/test_hello.py", "lines": {"begin": 12}}
    assert (issue["severity"], flag["severity"]) == ("major", "info")
    assert flag["location"]["lines"] == {"begin": 1}


def test_a_finding_of_no_file_is_about_the_folder() -> None:
    assert quality(Verdict("unit", "failed", (Finding("unit.empty", "no test", "Run."),)))[0]["location"]["path"] == "."


def test_a_moved_finding_keeps_its_fingerprint() -> None:
    before = quality(Verdict("unit", "failed", (FAILED,)))
    after = quality(Verdict("unit", "failed", (moved(FAILED, 40),)))
    assert before[0]["fingerprint"] == after[0]["fingerprint"]


def test_equal_findings_on_different_lines_are_told_apart() -> None:
    twice = quality(Verdict("unit", "failed", (FAILED, moved(FAILED, 40))))
    assert len({item["fingerprint"] for item in twice}) == 2


def test_gates_do_not_share_a_fingerprint() -> None:
    both = quality(Verdict("unit", "failed", (FAILED,)), Verdict("contract", "failed", (FAILED,)))
    assert both[0]["fingerprint"] != both[1]["fingerprint"]


def test_brief_names_gate_rule_place_mending_and_log() -> None:
    failed = Finding("unit.failed", "assert 1 == 2\n  where 1 = one()", "Make it pass.", "tests/test_hello.py", 12)
    verdicts = [
        Verdict("scope", "passed"),
        Verdict("unit", "failed", (failed,)),
        Verdict("plan", "skipped", reason="x"),
    ]
    assert findings.brief(verdicts, {"unit": ".factory/logs/unit.txt", "lint": ".factory/logs/lint.txt"}) == [
        "gate unit: failed",
        "  - rule: unit.failed",
        "    at: tests/test_hello.py:12",
        "    what: assert 1 == 2",
        "            where 1 = one()",
        "    fix: Make it pass.",
        "  whole log: .factory/logs/unit.txt",
        "gate plan: skipped (x)",
        "log of lint: .factory/logs/lint.txt",
    ]


def test_brief_counts_what_it_leaves_out() -> None:
    many = tuple(moved(FAILED, line) for line in range(1, 31))
    told = findings.brief([Verdict("unit", "failed", many)], {})
    assert told[-1] == "  and 22 more findings"
    assert sum(line.startswith("  - rule:") for line in told) == 8


def test_brief_cuts_a_long_message() -> None:
    told = findings.brief([Verdict("unit", "failed", (Finding("unit.failed", "x" * 999 + "\ny" * 99, "Mend."),))], {})
    assert len(told) == 24
    assert max(map(len, told)) < 320


def test_nothing_is_told_where_all_passed() -> None:
    assert findings.brief([Verdict("unit", "passed")], {}) == []


def test_hidden_characters_are_shown() -> None:
    assert findings.plain("a\u202eb\x1b[31mc\u2028d\ud800") == "a\ufffdb\ufffd[31mc d\ufffd"


@given(text=st.text(st.characters()))
def test_any_text_can_be_reported(text: str) -> None:
    verdicts = [Verdict("unit", "failed", (Finding("unit.failed", text, text, text, 1),), reason=text)]
    for line in [*findings.lines(verdicts), *findings.brief(verdicts, {"unit": text, "x": text})]:
        assert line.isprintable() or "\ufffd" in line or not line.isascii()
        assert len(line.splitlines()) == 1
    assert quality(*verdicts)
