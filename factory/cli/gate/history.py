"""``factory gate run --history N``: what the gates would have done to the last merges of main."""

from pathlib import Path

from factory.cli import environment, output
from factory.operations.collect import history
from factory.policies.folder import read_folder

_SHOWN = 3


def report(judge: Path, count: int, *, as_json: bool) -> None:
    """Judge the last ``count`` merges by the policies in ``judge``, and print which would be blocked, and why."""
    found = []
    for item in history.judged(environment.snapshot(), read_folder(judge), judge, count=count):
        found.append(item)
        output.say(f"{'✗' if item.failed else '✓'} {_named(item.merge)}")
    blocked = [item for item in found if item.failed]
    word = "merge" if len(found) == 1 else "merges"
    lines = [
        f"of your last {len(found)} {word} {len(found) - len(blocked)} would pass, {len(blocked)} would be blocked"
    ]
    for item in blocked:
        lines.append(_named(item.merge))
        findings = [(verdict.gate, one) for verdict in item.failed for one in verdict.findings]
        for gate, one in findings[:_SHOWN]:
            place = f" {one.path}:{one.line}" if one.path else ""
            lines.append(f"  {gate}{place} {one.message}")
        if len(findings) > _SHOWN:
            lines.append(f"  and {len(findings) - _SHOWN} more")
    skipped = sorted({gate for item in found for gate in item.skipped})
    if skipped:
        lines.append(f"not run on past merges: {', '.join(skipped)}")
    output.one([_value(item) for item in found], json_wanted=as_json, text="\n".join(lines))


def _named(merge: history.PastMerge) -> str:
    number = f"!{merge.merge_request} " if merge.merge_request else ""
    return f"{number}{merge.commit[:10]} {merge.subject}"


def _value(item: history.JudgedMerge) -> dict[str, object]:
    return {
        "commit": item.merge.commit,
        "merge_request": item.merge.merge_request,
        "subject": item.merge.subject,
        "failed": {verdict.gate: [one.rule for one in verdict.findings] for verdict in item.failed},
        "skipped": list(item.skipped),
    }
