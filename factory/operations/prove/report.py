"""The report of a run: what it was run against, each step's outcome, the differences, what was deleted. Pure."""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.reports.tables import markdown


class Outcome(enum.StrEnum):
    """How a step ended; ``DIFFERENT`` is a step that passed and found differences from the loopback parts."""

    PASSED = "passed"
    DIFFERENT = "different"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class StepResult:
    """One step's outcome, its seconds, and a line about it: what was seen, the error, or why it was not run."""

    name: str
    outcome: Outcome
    seconds: float
    detail: str


@dataclass(frozen=True)
class Server:
    """What a run was against: the GitLab's host, version and tier, and whether it is the loopback one."""

    host: str
    version: str = "unknown"
    tier: str = "unknown"
    loopback: bool = False


@dataclass(frozen=True)
class Report:
    """One run. ``differences`` are those of the GitLab from the loopback one, ``left`` is what could not be deleted.

    ``decisions`` says who approved; ``commit`` is that of the factory's source.
    """

    date: str
    version: str
    commit: str
    server: Server
    zone: str
    decisions: str
    seconds: float
    steps: Sequence[StepResult]
    differences: Sequence[str] = ()
    deleted: Sequence[str] = ()
    left: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """Whether every step that was asked for passed, and nothing is left."""
        return not self.left and all(step.outcome is not Outcome.FAILED for step in self.steps)


def line_of(step: StepResult) -> str:
    """Return a step's result as a line for a terminal."""
    return f"{step.seconds:8.1f} s  {step.outcome:<9}  {step.name}: {step.detail}"


def markdown_of(report: Report) -> str:
    """Return the report as Markdown."""
    server = report.server
    against = f"the loopback GitLab on {server.host} (a simulator)" if server.loopback else f"GitLab on {server.host}"
    rows = [(step.name, step.outcome, f"{step.seconds:.1f}", step.detail) for step in report.steps]
    not_run = [f"{step.name}: {step.detail}" for step in report.steps if step.outcome is Outcome.NOT_RUN]
    return "\n".join(
        [
            f"# factory prove, {report.date}",
            "",
            f"- Against: {against}, version {server.version}, tier {server.tier}",
            f"- Cloudflare zone: {report.zone or 'none'}",
            f"- Factory: {report.version}, commit {report.commit}",
            f"- Approvals: {report.decisions}",
            f"- Result: {'passed' if report.passed else 'failed'} in {report.seconds:.0f} s",
            "",
            "## Steps",
            "",
            markdown(("step", "outcome", "seconds", "what was seen"), rows),
            *_section("Differences from the loopback GitLab", report.differences),
            *_section("Not run", not_run),
            *_section("Deleted", report.deleted),
            *_section("Left", report.left),
            "",
        ]
    )


def redacted(text: str, names: Mapping[str, str]) -> str:
    """Return a text on one line, with the values of ``names`` (tokens, user names) replaced where they are words."""
    for value in sorted(names, key=len, reverse=True):
        if value:
            text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", names[value], text)
    return " ".join(text.split())


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {line}" for line in lines or ("none",))]
