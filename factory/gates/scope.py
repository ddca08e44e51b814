"""Gate `scope`: an agent changes only the paths, and only as much, as policies/scope.yml allows.

Nobody's change takes a key out of policies/trust.yml, without which recorded evidence would no longer verify.
"""

import re

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate, trust
from factory.policies.model import Policies
from factory.policies.rules import fix

GATE = "scope"
# A comment in the first two lines that names an encoding (PEP 263): tools would show other text than Python runs.
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_COOKIE_LINES = 2
# Bidirectional controls and zero-width characters (Unicode TR 36), without the joiner that emoji use.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u2060-\u2064\ufeff]")


def _foreign(line: str) -> bool:
    found = _COOKIE.match(line)
    return found is not None and found.group(1).lower().replace("_", "-") not in {"utf-8", "utf8", "ascii"}


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each path and size that policy denies; a person's change only gets flags."""
    change = facts.change
    if change is None:
        return Verdict(GATE, "skipped", reason="the change is unknown")
    if change.problem:
        return judged(GATE, [Finding("scope.unread", change.problem, "Leave large files out, or split the change.")])
    bound = evaluate.bound(policies, change)
    rulings = evaluate.change(policies, change)
    denied = [
        Finding(item.rule, item.reason, fix(item.rule), str(item.facts.get("path", "")))
        for item in rulings
        if not item.allowed
    ]
    denied += [
        Finding("scope.binary", f"{file.path} is a binary file", "Add its source instead.", file.path)
        for file in change.files
        if file.binary and file.status not in "DS"
    ]
    denied += [
        Finding("scope.hidden", "the line has an invisible or bidirectional character", "Remove it.", file.path, number)
        for file in change.files
        for number, line in file.lines
        if _HIDDEN.search(line)
    ]
    denied += [
        Finding("scope.encoding", "a comment sets an encoding other than UTF-8", "Remove the comment.", file.path, n)
        for file in change.files
        for n, line in file.lines
        if file.path.endswith((".py", ".pyi")) and n <= _COOKIE_LINES and _foreign(line)
    ]
    lost = [
        Finding("scope.trust", problem, "Keep every key; end one with `factory evidence keys revoke`.", trust.PATH)
        for problem in facts.trust
    ]
    if bound is not None or not change.files:
        return judged(GATE, denied + lost)
    if lost:
        return judged(GATE, lost)
    return Verdict(
        GATE, "passed", reason=f"opened by {change.origin.author}; no agent pushed to it", flags=tuple(denied)
    )
