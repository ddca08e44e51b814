"""Says which jobs of a pipeline failed, and which gates did not pass and where."""

from dataclasses import replace

from factory.errors import InvalidInput
from factory.gitlab import pipelines
from factory.gitlab.connect import Connection
from factory.reports import findings
from factory.workflow.release import pipeline_watch

_FINDINGS = 3


def lines(connection: Connection, pipeline: int) -> list[str]:
    """Return the names of the failed jobs, and each failed gate with its first findings; empty if no job failed."""
    failed = [job.name for job in pipelines.jobs(connection, pipeline) if job.status == "failed"]
    if not failed:
        return []
    text = [f"failed jobs: {', '.join(failed)}; see `factory pipeline logs {pipeline}`"]
    try:
        report = pipeline_watch.verdict(connection, pipeline)
    except InvalidInput as error:
        return [*text, f"the gates' verdict cannot be read: {error}"]
    for verdict in report.gates if report else ():
        if verdict.result == "failed" or (verdict.result == "skipped" and report and verdict.gate in report.required):
            first = replace(verdict, findings=verdict.findings[:_FINDINGS], flags=(), excused=())
            text += findings.lines([first])
            more = len(verdict.findings) - _FINDINGS
            text += [f"    and {more} more"] if more > 0 else []
    return text
