"""Reports of apps' own checks: SARIF, JUnit, LCOV and Cobertura, whose authors are not trusted."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.checks import findings, line_coverage
from factory.errors import InvalidInput
from factory.model.facts import Coverage
from factory.model.tool_run import Problem

ROOT = "/tmp/work/app"


def sarif(*results: object) -> bytes:
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": results}]}).encode()


def result(uri: str = "src/a.js", **more: object) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 3}}}
    return {"ruleId": "no-var", "message": {"text": "Use let."}, "locations": [place], **more}


@pytest.mark.parametrize(
    ("given_result", "expected"),
    [
        (result(), Problem("no-var", "src/a.js", 3, "Use let.")),
        (result(f"file://{ROOT}/src/a%20b.js"), Problem("no-var", "src/a b.js", 3, "Use let.")),
        (result(locations=[]), Problem("no-var", "", 0, "Use let.")),
        (result(ruleId=None, rule={"id": "x y\x1b[31m"}), None),
        (result(ruleId="", rule={"id": "x y\x1b[31m"}), Problem("x-y-31m", "src/a.js", 3, "Use let.")),
        (result(message={"text": f"a\x1b[2J\n b {ROOT}/c"}), Problem("no-var", "src/a.js", 3, "a [2J b /c")),
        (result(suppressions=[{"kind": "inSource"}]), Problem("suppressed", "src/a.js", 3, "no-var: Use let.")),
        (
            result(suppressions=[{"kind": "external", "status": "rejected"}]),
            Problem("no-var", "src/a.js", 3, "Use let."),
        ),
    ],
)
def test_a_sarif_result_is_a_finding(given_result: object, expected: Problem | None) -> None:
    if expected is None:
        with pytest.raises(InvalidInput, match="ruleId"):
            findings.read(sarif(given_result), ROOT)
    else:
        assert findings.read(sarif(given_result), ROOT) == (expected,)


def test_notes_and_passes_are_no_findings() -> None:
    assert findings.read(sarif(result(level="note"), result(level="none"), result(kind="pass")), ROOT) == ()


def test_a_failed_case_of_junit_is_a_finding() -> None:
    data = b"<testsuite><testcase name='a'/><testcase name='b'><failure message='no'/></testcase></testsuite>"
    assert findings.read(data, ROOT) == (Problem("failed", "", 0, "b: no"),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"ok", "neither SARIF nor JUnit"),
        (b"{", "not SARIF"),
        (b"{\xff}", "not SARIF"),
        (b'{"version": "2.1.0", "runs": []}', "runs"),
        (b'{"version": "2.1.0", "runs": [{}]}', "no results"),
        (b'{"version": "2.0.0", "runs": [{"results": []}]}', "2.0.0"),
        (b'{"version": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "not SARIF"),
        (sarif(result("/etc/passwd")), "/etc/passwd"),
        (sarif(result("file:///etc/passwd")), "/etc/passwd"),
        (sarif(result("src/%2e%2e/%2e%2e/x")), "not a file of the app"),
        (sarif(result(f"{ROOT}/../x")), "not a file of the app"),
        (sarif(result("https://example.com/a.js")), "example.com"),
        (sarif(result("//[x")), "cannot be read"),
        (sarif(*[result(locations=[])] * 10_001), "results"),
        (b"<testsuite/>", "no test"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "entities"),
    ],
)
def test_other_reports_of_findings_are_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        findings.read(data, ROOT)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


LCOV = b"TN:\nSF:src/a.js\nFN:1,f\nDA:1,2\nDA:2,0\nDA:2,1,sum\nDA:3,0\nend_of_record\n"
COBERTURA = (
    b'<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "http://x/coverage-04.dtd"><coverage><sources><source>'
    + ROOT.encode()
    + b"/src</source></sources><packages><package><classes><class filename='a.js'><lines>"
    b"<line number='1' hits='2'/><line number='2' hits='1'/><line number='3' hits='0'/>"
    b"</lines></class></classes></package></packages></coverage>"
)


@pytest.mark.parametrize("data", [LCOV, COBERTURA, LCOV.replace(b"src/", f"{ROOT}/src/".encode())])
def test_lines_that_tests_ran(data: bytes) -> None:
    assert line_coverage.read(data, ROOT) == Coverage((("src/a.js", (1, 2)),), (("src/a.js", (3,)),))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no line"),
        (b"\xff", "UTF-8"),
        (b"SF:../x\nDA:1,1\n", "not a file of the app"),
        (b"SF:/etc/passwd\nDA:1,1\n", "/etc/passwd"),
        (b"DA:1,1\n", "line 1"),
        (b"SF:a\nDA:x\n", "line 2"),
        (b"<a", "not XML"),
        (b"<a>" * 10_000 + b"</a>" * 10_000, "no line"),
        (COBERTURA.replace(b"a.js", b"../../x"), "not a file of the app"),
        (COBERTURA.replace(b"hits='0'", b"hits='x'"), "hits"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "entities"),
    ],
)
def test_other_reports_of_lines_are_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        line_coverage.read(data, ROOT)
    assert str(caught.value).isprintable()


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.booleans(),
    lambda x: (
        st.lists(x)
        | st.dictionaries(
            st.sampled_from(["version", "runs", "results", "ruleId", "locations", "message", "text", "uri", "region"]),
            x,
        )
    ),
)
PIECES = st.lists(st.sampled_from([b"SF:", b"a.js", b"../", b"/", b"\n", b"DA:", b"1,", b"2", b"<a>", b"</a>", b"\0"]))


@given(st.binary() | JSON.map(lambda x: json.dumps(x).encode()) | JSON.map(sarif) | PIECES.map(b"".join))
def test_any_bytes_are_findings_and_lines_or_one_error(data: bytes) -> None:
    for text in (data, b"{" + data, b"<" + data):
        with suppress(InvalidInput):
            for item in findings.read(text, ROOT):
                assert item.message.isprintable()
                assert not item.path.startswith(("/", ".."))
        with suppress(InvalidInput):
            assert line_coverage.read(text, ROOT).executed is not None
