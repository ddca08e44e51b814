"""The unit test report of a pipeline: the JUnit reports of its jobs in GitLab's format."""

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

from factory.errors import NotFound
from factory.local_gitlab.serving.store import Document
from factory.system import files

_LARGEST = 16 * 2**20
# `max_test_cases_per_report` of GitLab.com.
_MOST_CASES = 500_000
_COUNTS = ("total", "success", "failed", "skipped", "error")
# What Ruby's `to_f` reads of a text: the number that it begins with.
_NUMBER = re.compile(r"\s*-?\d{1,15}(?:\.\d{1,15})?")


def encoded(reports: Sequence[tuple[str, Path]]) -> bytes:
    """Return the JSON of the report for jobs, given as name and JUnit file; jobs without a file have no suite.

    It takes seconds for large files, so it is not for the event loop.
    """
    suites = [_suite(name, path) for name, path in reports if path.exists()]
    totals = {f"{key}_count": sum(suite[f"{key}_count"] for suite in suites) for key in _COUNTS}
    report = {"total_time": sum(suite["total_time"] for suite in suites), **totals, "test_suites": suites}
    return json.dumps(report).encode()


def _suite(name: str, path: Path) -> Document:
    cases, error = _cases(path)
    counts = {key: sum(case["status"] == key for case in cases) for key in _COUNTS[1:]}
    return {
        "name": name,
        "total_time": sum(case["execution_time"] for case in cases),
        "total_count": len(cases),
        **{f"{key}_count": value for key, value in counts.items()},
        "suite_error": error,
        "test_cases": cases,
    }


def _cases(path: Path) -> tuple[list[Document], str | None]:
    """Return a report's test cases and GitLab's text of what is wrong with it; then there are no cases."""
    try:
        data, longer = files.read_untrusted(path, _LARGEST)
    except NotFound:  # a new attempt of the job has just replaced it
        return [], None
    if longer:
        return [], f"JUnit data parsing failed: the report has more than {_LARGEST >> 20} MiB"
    try:
        root = ET.fromstring(data)  # noqa: S314 - expat of Python 3.11 bounds entity expansion
    except (ET.ParseError, ValueError, LookupError) as broken:
        return [], f"JUnit XML parsing failed: {broken}"
    found = list(islice(root.iter("testcase"), _MOST_CASES + 1))
    if len(found) > _MOST_CASES:
        return [], f"JUnit data parsing failed: number of test cases exceeded the limit of {_MOST_CASES}"
    return [_case(element) for element in found], None


def _case(element: "ET.Element") -> Document:
    status, output = "success", None
    for tag, name in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = element.find(tag)
        if found is not None:
            status, output = name, found.text or found.get("message")
    seconds = _NUMBER.match(element.get("time") or "")
    return {
        "status": status,
        "name": element.get("name", ""),
        "classname": element.get("classname", ""),
        "file": element.get("file"),
        "execution_time": float(seconds[0]) if seconds else 0.0,
        "system_output": output,
        "stack_trace": None,
    }
