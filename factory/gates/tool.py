"""Judges the results of linters and type checkers; a tool that could not run has not passed."""

import re
from dataclasses import replace

from factory.model.app_paths import AppPaths
from factory.model.facts import Change
from factory.model.tool_run import ToolRun
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

# Comments with which a source silences a tool.
SUPPRESSION = re.compile(
    r"#\s*(?:noqa|type:\s*ignore|nosec|pragma:?\s*no\s*(?:cover|branch)|pylint:|ruff:|flake8:|mypy:|pyright:|fmt:\s*(?:off|skip))|\bno_type_check\b",
    re.IGNORECASE,
)


def judge_tool(gate: str, run: ToolRun | None, *, fix: str) -> Verdict:
    """Return a finding for each problem that a tool reported, with the rule ``<gate>.<the tool's rule>``."""
    if run is None:
        return Verdict(gate, "skipped", reason="the tool was not run")
    if run.problem:
        return judged(gate, [Finding(f"{gate}.not-run", run.problem, "Fix the cause, so that the tool can run.")])
    return judged(
        gate,
        [
            Finding(f"{gate}.{item.rule.lower()}", f"{item.rule}: {item.message}", fix, item.path, item.line)
            for item in run.problems
        ],
    )


def suppressions(gate: str, change: Change | None, apps: AppPaths) -> list[Finding]:
    """Return a finding for each added line of an app's source that silences a tool."""
    fix = "Fix the tool's finding instead of silencing it."
    return [
        Finding(f"{gate}.suppressed", "a comment silences a tool", fix, file.path, number)
        for file in (change.files if change else ())
        if apps.owns(file.path) and file.path.endswith((".py", ".pyi"))
        for number, line in file.lines
        if SUPPRESSION.search(line)
    ]


def for_agents(verdict: Verdict, policies: Policies, change: Change | None, findings: list[Finding]) -> Verdict:
    """Add findings of rules that only agents must follow; for a person's change they are flags."""
    if not findings:
        return verdict
    if change is not None and evaluate.bound(policies, change) is None:
        return replace(verdict, flags=(*verdict.flags, *findings))
    return judged(verdict.gate, [*verdict.findings, *findings], flags=verdict.flags)
