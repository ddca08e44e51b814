"""The report of a run as a value: its result, its text, and what it does not say."""

from dataclasses import replace

import pytest

from factory.operations.prove.report import Outcome, Report, Server, StepResult, markdown_of, redacted

STEPS = (
    StepResult("connect", Outcome.PASSED, 3.25, "made | connected"),
    StepResult("production", Outcome.NOT_RUN, 0.0, "no --zone was given"),
)
REPORT = Report(
    date="2026-12-02",
    version="0.1.0",
    commit="abc",
    server=Server("gitlab.example", "18.5.0-ee", "premium"),
    zone="",
    decisions="by the operator, on the terminal",
    seconds=61.4,
    steps=STEPS,
)


def test_what_was_not_run_fails_nothing_and_is_listed() -> None:
    text = markdown_of(REPORT)
    assert REPORT.passed
    assert "- Against: GitLab on gitlab.example, version 18.5.0-ee, tier premium" in text
    assert "- Result: passed in 61 s" in text
    assert "| connect | passed | 3.2 | made \\| connected |" in text
    assert "## Not run\n\n- production: no --zone was given\n" in text
    assert "## Left\n\n- none\n" in text


def test_a_simulator_is_called_one() -> None:
    server = Server("127.0.0.1:1", "19.5.0-local", "free", loopback=True)
    assert "the loopback GitLab on 127.0.0.1:1 (a simulator)" in markdown_of(replace(REPORT, server=server))


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, left=("the project x: it is in use",)),
        replace(REPORT, steps=(*STEPS, StepResult("evidence", Outcome.FAILED, 1.0, "not complete"))),
    ],
    ids=["left", "failed"],
)
def test_a_failed_step_or_a_rest_is_a_failure(report: Report) -> None:
    assert not report.passed
    assert "- Result: failed" in markdown_of(report)


def test_a_difference_is_no_failure() -> None:
    report = replace(
        REPORT, steps=(StepResult("conformance transcript", Outcome.DIFFERENT, 1.0, ""),), differences=("GET /x",)
    )
    assert report.passed
    assert "## Differences from the loopback GitLab\n\n- GET /x\n" in markdown_of(report)


def test_names_are_replaced_where_they_are_words() -> None:
    names = {"jo": "(operator)", "glpat-1": "(token)", "": "(nothing)"}
    assert redacted("jo's glpat-1\nin jo/x, by jo-bot and major", names) == (
        "(operator)'s (token) in (operator)/x, by jo-bot and major"
    )
