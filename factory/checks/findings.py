"""Reads what an app's own check found: a SARIF 2.1.0 report or a JUnit report, told apart by their content.

A command of the change wrote the report: its author is not trusted.
"""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from factory.checks import junit, report
from factory.errors import InvalidInput
from factory.model.tool_run import SUPPRESSED, Problem
from factory.system import data
from factory.system.data import Field

_MOST = 10_000
_MESSAGE, _RULE = 500, 100
# Levels of results that are no findings (SARIF 2.1.0, 3.27.10); "warning" is the default.
_NOTES = {"note", "none"}
# Kinds of results that are no failures (SARIF 2.1.0, 3.27.9); "fail" is the default.
_HARMLESS = {"pass", "notApplicable", "informational"}


@dataclass(frozen=True)
class _Location:
    uri: Annotated[str, Field(max_length=4096)] = ""


@dataclass(frozen=True)
class _Region:
    line: Annotated[int, Field(ge=0, le=10**9, alias="startLine")] = 0


@dataclass(frozen=True)
class _Physical:
    file: Annotated[_Location, Field(alias="artifactLocation")] = _Location()
    region: _Region = _Region()


@dataclass(frozen=True)
class _Place:
    physical: Annotated[_Physical, Field(alias="physicalLocation")] = _Physical()


@dataclass(frozen=True)
class _Message:
    text: str = ""
    id: str = ""


@dataclass(frozen=True)
class _RuleName:
    id: str = ""


@dataclass(frozen=True)
class _Suppression:
    status: str = "accepted"


@dataclass(frozen=True)
class _Result:
    rule_id: Annotated[str, Field(alias="ruleId")] = ""
    rule: _RuleName = _RuleName()
    level: str = "warning"
    kind: str = "fail"
    message: _Message = _Message()
    places: Annotated[tuple[_Place, ...], Field(alias="locations", max_length=1000)] = ()
    suppressions: Annotated[tuple[_Suppression, ...], Field(max_length=100)] | None = None


@dataclass(frozen=True)
class _Run:
    results: Annotated[tuple[_Result, ...], Field(max_length=_MOST)] | None = None


@dataclass(frozen=True)
class _Sarif:
    version: str
    runs: Annotated[tuple[_Run, ...], Field(min_length=1, max_length=100)]


def read(content: bytes, root: str) -> tuple[Problem, ...]:
    """Return the findings of a report, with paths below ``root``, the folder in which the command ran.

    SARIF results of the levels ``note`` and ``none`` are no findings; a result that a comment in the source silences
    has the rule ``suppressed``. Raises ``InvalidInput`` if the report cannot be read, says nothing, or names a file
    outside ``root``.
    """
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return _sarif(text, root)
    if text.startswith(b"<"):
        return _junit(text, root)
    raise InvalidInput("the report is empty" if not text else "the report is neither SARIF nor JUnit")


def _sarif(content: bytes, root: str) -> tuple[Problem, ...]:
    try:
        found = data.pick(_Sarif, content, source="the report is not SARIF 2.1.0")
    except InvalidInput as error:
        raise InvalidInput(report.plain(str(error), 300)) from error
    if found.version != "2.1.0":
        raise InvalidInput(f"the report is SARIF {report.plain(found.version, 20)!r}, not 2.1.0")
    if any(run.results is None for run in found.runs):
        raise InvalidInput("a run of the SARIF report has no results: its tool found nothing out")
    results = [result for run in found.runs for result in run.results or ()]
    if len(results) > _MOST:
        raise InvalidInput(f"the report has more than {_MOST} results")
    return tuple(
        _problem(result, root) for result in results if result.level not in _NOTES and result.kind not in _HARMLESS
    )


def _problem(result: _Result, root: str) -> Problem:
    place = result.places[0].physical if result.places else _Physical()
    name = rule(result.rule_id or result.rule.id)
    message = report.plain((result.message.text or result.message.id).replace(root, ""), _MESSAGE)
    if any(item.status == "accepted" for item in result.suppressions or ()):
        name, message = SUPPRESSED, f"{name}: {message}"
    return Problem(name, _path(place.file.uri, root), place.region.line, message)


def _path(uri: str, root: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise InvalidInput("the report names a file by an address that cannot be read") from error
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        raise InvalidInput(f"the report names {report.plain(uri, 100)!r}, which is not a file of the app")
    return report.inside(unquote(parts.path), root)


def _junit(content: bytes, root: str) -> tuple[Problem, ...]:
    run = junit.read(content)
    if run.problem:
        raise InvalidInput(run.problem)
    if not run.cases:
        raise InvalidInput("the test report has no test")
    if len(run.cases) > _MOST:
        raise InvalidInput(f"the report has more than {_MOST} tests")
    return tuple(
        Problem(
            case.outcome,
            report.inside(case.path, root),
            case.line,
            report.plain(f"{case.name}: {case.message}".replace(root, ""), _MESSAGE),
        )
        for case in run.cases
        if case.outcome in {"failed", "error"}
    )


def rule(text: str) -> str:
    """Return the name of a tool's rule in letters that every report can show."""
    return re.sub(r"[^\w./@:-]+", "-", report.plain(text, _RULE), flags=re.ASCII).strip("-") or "unnamed"
