"""The unit test report of a pipeline: what GitLab reads of JUnit files, and what it says of those it does not read."""

import json
from pathlib import Path

import pytest

from factory.local_gitlab.ci import unit_test_reports

LARGE = 16 * 2**20


def test_cases_of_all_jobs_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        '<t><testcase name="x" time="1.5"/><testcase name="y" time="soon"><error/></testcase></t>'
    )
    (tmp_path / "b").write_text('<t><testcase name="z" time="inf"><failure>no</failure></testcase></t>')
    found = json.loads(unit_test_reports.encoded([(name, tmp_path / name) for name in ("a", "b", "none")]))
    assert (found["total_count"], found["failed_count"], found["error_count"], found["total_time"]) == (3, 1, 1, 1.5)
    assert [suite["name"] for suite in found["test_suites"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"<t><testcase/></t>".ljust(LARGE), None),
        (b"<t><testcase/></t>".ljust(LARGE + 1), "JUnit data parsing failed: the report has more than 16 MiB"),
        (b"<t>" + b"<testcase/>" * 500_000 + b"</t>", None),
        (
            b"<t>" + b"<testcase/>" * 500_001 + b"</t>",
            "JUnit data parsing failed: number of test cases exceeded the limit of 500000",
        ),
        (b"<t", "JUnit XML parsing failed: unclosed token: line 1, column 0"),
        (b'<?xml version="1.0" encoding="none"?><t/>', "JUnit XML parsing failed: unknown encoding: none"),
    ],
)
def test_a_report_that_is_too_large_or_no_xml_is_an_error_of_its_suite(
    tmp_path: Path, content: bytes, error: str | None
) -> None:
    (tmp_path / "junit").write_bytes(content)
    (suite,) = json.loads(unit_test_reports.encoded([("a", tmp_path / "junit")]))["test_suites"]
    assert (suite["suite_error"] or "").startswith(error or "")
    assert bool(suite["test_cases"]) is (error is None)
