"""What is told of a pipeline that failed: its jobs, and the gates with their first findings."""

import json
from pathlib import Path

import pytest

from factory.model.verdict import Finding, GateReport, Verdict
from factory.status import failed_jobs
from factory.system import data
from factory.workflow.release.pipeline_watch import VERDICT
from tests.workflow.recorded_gitlab import RecordedGitlab, world

FOUND = tuple(
    Finding("types.error", f"problem {n}", "Fix the type.", "apps/hello/src/hello.py", n) for n in range(1, 6)
)
GATES = (
    Verdict("lint", "passed"),
    Verdict("types", "failed", FOUND, flags=FOUND[:1]),
    Verdict("unit", "skipped", reason="no\nresult"),
    Verdict("performance", "skipped", reason="off"),
)
REPORT = GateReport("failed", "h", "j", "p", ("lint", "types", "unit"), GATES, (), 0, None)

JOB = {"id": 3, "name": "gate", "stage": "gate", "status": "failed", "duration": 1.0, "allow_failure": False}
JOB |= {"web_url": "http://gitlab.test/3"}


def told_of(folder: Path, status: str, verdict: object) -> list[str]:
    """Return what is told of a pipeline with the job of the gates, which left a verdict unless that is ``None``."""
    bot = world(folder, "review").context.bot
    answers = {"pipelines/7/jobs": [{**JOB, "status": status}], f"jobs/3/artifacts/{VERDICT}": verdict}
    bot.client.session.mount("http://", RecordedGitlab(answers))
    return failed_jobs.lines(bot, 7)


@pytest.mark.parametrize(
    ("status", "verdict", "told"),
    [
        ("success", json.loads(data.write(REPORT)), []),
        ("failed", None, ["failed jobs: gate; see `factory pipeline logs 7`"]),
        (
            "failed",
            json.loads(data.write(REPORT)),
            [
                "failed jobs: gate; see `factory pipeline logs 7`",
                "✗ types      failed",
                "    types.error  apps/hello/src/hello.py:1  problem 1",
                "    → Fix the type.",
                "    types.error  apps/hello/src/hello.py:2  problem 2",
                "    → Fix the type.",
                "    types.error  apps/hello/src/hello.py:3  problem 3",
                "    → Fix the type.",
                "    and 2 more",
                "- unit       skipped (no result)",
            ],
        ),
    ],
)
def test_failed_gates_are_named_with_rule_and_place(
    tmp_path: Path, status: str, verdict: object, told: list[str]
) -> None:
    assert told_of(tmp_path, status, verdict) == told


def test_a_verdict_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (_, told) = told_of(tmp_path, "failed", {"result": "passed"})
    assert told.startswith("the gates' verdict cannot be read: ")
