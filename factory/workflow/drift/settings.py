"""Reports drift of the project's GitLab settings as one issue, which it opens, updates and closes."""

import re
from typing import TYPE_CHECKING, Literal

from factory.gitlab import issues, tracking_issue
from factory.gitlab.settings.run import Plan
from factory.reports.markdown import name
from factory.system import canonical

if TYPE_CHECKING:
    from factory.workflow.context import Context

_MARK = "<!-- factory:settings "
_KNOWN = re.compile(r"\A<!-- factory:settings (\S+) -->")
_CLEAN = "clean"


def tend(context: "Context", plan: Plan) -> int | None:
    """Update the issue if the differences have changed; return its number if it was written."""
    digest = _CLEAN if plan.in_sync else canonical.digest_of([item.to_json() for item in plan.differences])
    found = tracking_issue.find(context.bot, _MARK)
    if not found and plan.in_sync:
        return None
    body = f"{_MARK}{digest} -->\n{_body(plan)}"
    if not found:
        label = context.policies().session.labels.drift
        created = tracking_issue.open_once(
            context.bot, _MARK, title="Drift: settings of the project", description=body, labels=[label]
        )
        context.say(f"#{created.iid} reports changed settings")
        return created.iid
    issue = found[0]
    known = _KNOWN.match(issue.description)
    if known and known.group(1) == digest:
        return None
    event: Literal["close", "reopen"] | None = None
    if plan.in_sync:
        event = "close"
    elif issue.state == "closed":
        event = "reopen"
    text = "The drift is gone." if plan.in_sync else "The drift has changed. The description shows the differences."
    issues.say(context.bot, "issues", issue.iid, marker=f"settings-note {digest}", body=text)
    tracking_issue.change(context.bot, issue.iid, description=body, event=event)
    context.say(f"#{issue.iid}: {text}")
    return issue.iid


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
