"""Reports drift of the project's GitLab settings as one issue, which it opens, updates and closes."""

from typing import TYPE_CHECKING

from factory.gitlab.settings.run import Plan
from factory.reports.markdown import name
from factory.workflow.drift.report_issue import Subject, settle

if TYPE_CHECKING:
    from factory.workflow.context import Context

_SUBJECT = Subject("settings", "Drift: settings of the project", "reports changed settings")


def tend(context: "Context", plan: Plan) -> int | None:
    """Update the issue if the differences have changed; return its number if it was written."""
    differences = [] if plan.in_sync else [item.to_json() for item in plan.differences]
    return settle(context, _SUBJECT, differences, _body(plan))


def _body(plan: Plan) -> str:
    if plan.in_sync:
        return "The project's settings match `policies/gitlab.yml`.\n"
    lines = [
        "The project's settings differ from `policies/gitlab.yml`:",
        "",
        "| Setting | Field | Current | Desired |",
        "|---|---|---|---|",
        *(
            f"| {name(f'{item.section}: {item.key}')} | {name(item.field)} | {name(str(item.found))} "
            f"| {name(str(item.wanted))} |"
            for item in plan.differences
        ),
        "",
        "To undo them, run `factory gitlab apply`. To keep them, change `policies/gitlab.yml` in a merge request.",
    ]
    return "\n".join(lines) + "\n"
