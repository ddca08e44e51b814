"""Renders a gate decision as SARIF 2.1.0 (OASIS), for GitLab's ``artifacts:reports:sarif`` and for editors."""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from factory.model.verdict import Finding, Verdict
from factory.reports import findings

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# An excused finding is a suppressed result (3.27.23), so that viewers do not count it as a failure.
_LEVELS: Mapping[findings.Kind, str] = {"finding": "error", "flag": "warning", "excused": "note"}


def render(verdicts: Sequence[Verdict]) -> str:
    """Return one SARIF run: findings as errors, flags as warnings, excused findings as suppressed notes.

    A skipped gate is a notification of the run (3.20.21), which is then marked as not successfully executed. Equal
    verdicts give equal text.
    """
    found = findings.reported(verdicts)
    rules = sorted({item.finding.rule for item in found})
    skipped = [_skipped(verdict) for verdict in verdicts if verdict.result == "skipped"]
    run = {
        "tool": {"driver": {"name": "factory", "rules": [_rule(rule, found) for rule in rules]}},
        "invocations": [{"executionSuccessful": not skipped, "toolExecutionNotifications": skipped}],
        "results": [_result(item, rules.index(item.finding.rule)) for item in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, sort_keys=True)


def _rule(rule: str, found: Sequence[findings.ReportedFinding]) -> dict[str, object]:
    mine = [item for item in found if item.finding.rule == rule]
    gates = sorted({item.gate for item in mine})
    return {
        "id": rule,
        "shortDescription": {"text": f"{rule}, checked by gate {', '.join(gates)}"},
        "help": {"text": "\n".join(sorted({findings.plain(item.finding.fix) for item in mine}))},
        "properties": {"tags": gates},
    }


def _result(item: findings.ReportedFinding, index: int) -> dict[str, object]:
    finding = item.finding
    result: dict[str, object] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[item.kind],
        "message": {"text": findings.plain(f"{finding.message} — {finding.fix}")},
        "partialFingerprints": {"factory/v1": item.fingerprint},
    }
    if finding.path:
        result["locations"] = [_location(finding)]
    if item.kind == "excused":
        result["suppressions"] = [{"kind": "external", "status": "accepted"}]
    return result


def _location(finding: Finding) -> dict[str, object]:
    # A relative reference (RFC 3986, 4.2): no leading slash, and colons are escaped, so that none marks a scheme.
    uri = quote(finding.path.removeprefix("./").lstrip("/"), errors="replace")
    place: dict[str, object] = {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}}
    if finding.line > 0:
        place["region"] = {"startLine": finding.line}
    return {"physicalLocation": place}


def _skipped(verdict: Verdict) -> dict[str, object]:
    return {"level": "warning", "message": {"text": findings.plain(f"{verdict.gate} was skipped: {verdict.reason}")}}
