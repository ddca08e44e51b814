"""SARIF 2.1.0: the parts that readers of it rely on (OASIS, sections 3.13 to 3.54)."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factory.model.verdict import Finding, Verdict
from factory.reports import sarif

FAILED = Finding("unit.failed", "test_greets: assert 1 == 2", "Make it pass.", "apps/hello/tests/test_hello.py", 12)
FLAG = Finding("spec.weaker", "an assertion is gone", "Look at it.", "apps/hello tests/a:b.py")
ACCEPTED = Finding("types.error", "untyped", "Annotate it.", "/apps/hello/src/hello.py", 3)
VERDICTS = (
    Verdict("unit", "failed", (FAILED, Finding("unit.empty", "no test passed", "Run the tests."))),
    Verdict("spec", "passed", flags=(FLAG,)),
    Verdict("types", "passed", excused=(ACCEPTED,)),
    Verdict("plan", "skipped", reason="there is no plan"),
)


def run_of(*verdicts: Verdict) -> dict[str, Any]:
    log = json.loads(sarif.render(verdicts))
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    return dict(run)


def test_the_tool_has_rules_with_help_that_results_point_to() -> None:
    run = run_of(*VERDICTS)
    driver = run["tool"]["driver"]
    assert driver["name"] == "factory"
    assert [rule["id"] for rule in driver["rules"]] == ["spec.weaker", "types.error", "unit.empty", "unit.failed"]
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in driver["rules"])
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_findings_are_errors_flags_warnings_and_excused_ones_suppressed() -> None:
    results = {item["ruleId"]: item for item in run_of(*VERDICTS)["results"]}
    assert {rule: item["level"] for rule, item in results.items()} == {
        "unit.failed": "error",
        "unit.empty": "error",
        "spec.weaker": "warning",
        "types.error": "note",
    }
    assert results["types.error"]["suppressions"] == [{"kind": "external", "status": "accepted"}]
    assert "suppressions" not in results["unit.failed"]


def test_places_are_relative_addresses_and_lines_begin_at_one() -> None:
    results = {item["ruleId"]: item for item in run_of(*VERDICTS)["results"]}
    place = results["unit.failed"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "apps/hello/tests/test_hello.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 12}
    flag = results["spec.weaker"]["locations"][0]["physicalLocation"]
    assert flag["artifactLocation"]["uri"] == "apps/hello%20tests/a%3Ab.py"
    assert "region" not in flag
    excused = results["types.error"]["locations"][0]["physicalLocation"]
    assert excused["artifactLocation"]["uri"] == "apps/hello/src/hello.py"
    assert "locations" not in results["unit.empty"]


def test_a_skipped_gate_is_told() -> None:
    (invocation,) = run_of(*VERDICTS)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [item["message"]["text"] for item in invocation["toolExecutionNotifications"]] == [
        "plan was skipped: there is no plan"
    ]
    assert run_of(Verdict("unit", "passed"))["invocations"][0]["executionSuccessful"] is True


def test_fingerprints_survive_a_move_and_tell_equals_apart() -> None:
    moved = Finding(FAILED.rule, FAILED.message, FAILED.fix, FAILED.path, 99)
    first, second = run_of(Verdict("unit", "failed", (FAILED, moved)))["results"]
    alone = run_of(Verdict("unit", "failed", (moved,)))["results"][0]
    assert first["partialFingerprints"] == alone["partialFingerprints"] != second["partialFingerprints"]


def test_equal_verdicts_give_equal_text() -> None:
    assert sarif.render(VERDICTS) == sarif.render(list(VERDICTS))


@given(text=st.text(st.characters(), min_size=1))
def test_any_text_gives_ascii_json_and_a_relative_address(text: str) -> None:
    verdict = Verdict("unit", "failed", (Finding("unit.failed", text, text, text, 1),))
    assert sarif.render([verdict]).isascii()
    place = run_of(verdict)["results"][0]["locations"][0]["physicalLocation"]
    assert not place["artifactLocation"]["uri"].startswith("/")
    assert ":" not in place["artifactLocation"]["uri"]
