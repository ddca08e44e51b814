"""Reads a JUnit report, which the merge request's own job wrote."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from factory.checks import report
from factory.errors import Refused
from factory.model.facts import TestCase, TestRun

_PLACE = re.compile(r"^([\w./-]+\.py):(\d{1,9}):", re.MULTILINE)
# Properties of a case whose values are ids of requirements.
_CITING = {"requirement", "spec"}


def read_file(path: Path, code: bytes | None = None) -> TestRun:
    """Return the tests in a report file, as ``read``; ``problem`` is also set for a link and a too large file."""
    try:
        return read(report.content(path), code)
    except Refused as error:
        return TestRun(problem=str(error))


def read(data: bytes | None, code: bytes | None = None) -> TestRun:
    """Return the tests in a report; ``problem`` is set if the report is missing or unreadable.

    ``code`` is the exit code of the run as text, if it was recorded.
    """
    if data is None:
        return TestRun(problem="the test report is missing")
    if b"\0" in data:  # UTF-16 and UTF-32 would hide a declaration from the next line
        return TestRun(problem="the test report is not UTF-8 text")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return TestRun(problem="the test report declares XML entities")
    try:
        root = ET.fromstring(data)  # noqa: S314 - document type declarations are refused above
    except ET.ParseError as error:
        return TestRun(problem=f"the test report is not XML: {error}")
    known = int(code) if code is not None and re.fullmatch(rb"\d{1,3}\s*", code) else None
    return TestRun(tuple(_case(element) for element in root.iter("testcase")), code=known)


def _case(element: "ET.Element") -> TestCase:
    name = f"{element.get('classname', '')}.{element.get('name', '')}".strip(".")
    app = element.get("app", "")
    cited = tuple(
        item.get("value", "")[:100] for item in element.iterfind("properties/property") if item.get("name") in _CITING
    )
    for tag, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        found = element.find(tag)
        if found is not None:
            text = found.text or ""
            places = _PLACE.findall(text)
            path, line = places[-1] if places else ("", "0")
            return TestCase(name, outcome, (found.get("message") or text).strip()[:500], path, int(line), app, cited)
    return TestCase(name, "success", app=app, requirements=cited)
