"""Secrets: no added line holds a key or token."""

import re

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "secrets"

_SHAPES = (
    ("private-key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("gitlab-token", re.compile(r"\bgl(?:pat|dt|rt|cbt|oas|ft|agent)-[A-Za-z0-9_-]{16,}")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("github-token", re.compile(r"\bgh[opsur]_[A-Za-z0-9]{30,}")),
    ("openai-key", re.compile(r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{24,}")),
    ("assigned-secret", re.compile(r"(?i)\b(?:password|secret|api_?key|token)\b\s*[:=]\s*[\"'][^\"'\s]{12,}[\"']")),
)


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each added line that has the shape of a secret; the secret itself is not repeated."""
    del policies
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    findings = [
        Finding(
            f"secrets.{name}",
            f"line {number} looks like a secret ({name})",
            "Remove it and revoke it: what was pushed is known.",
            file.path,
            number,
        )
        for file in facts.change.files
        for number, line in file.lines
        for name, shape in _SHAPES
        if shape.search(line)
    ]
    return judged(GATE, findings)
