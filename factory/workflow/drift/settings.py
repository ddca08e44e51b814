"""Drift of the project's settings as one issue: opened, changed in place and closed as what differs says."""

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
    """Bring the issue up to date; return its number if it was written. The same difference again writes nothing."""
    wanted = _CLEAN if plan.in_sync else canonical.digest_of([item.to_json() for item in plan.differences])
    found = tracking_issue.find(context.bot, _MARK)
    if not found and plan.in_sync:
        return None
    body = f"{_MARK}{wanted} -->\n{_body(plan)}"
    if not found:
        label = context.policies().session.labels.drift
        made = tracking_issue.open_once(
            context.bot, _MARK, title="Drift: settings of the project", description=body, labels=[label]
        )
        context.say(f"#{made.iid} tells of settings that differ")
        return made.iid
    issue = found[0]
    known = _KNOWN.match(issue.description)
    if known and known.group(1) == wanted:
        return None
    event: Literal["close", "reopen"] | None = None
    if plan.in_sync:
        event = "close"
    elif issue.state == "closed":
        event = "reopen"
    told = "Nothing differs any more." if plan.in_sync else "What differs has changed; the description says how."
    issues.say(context.bot, "issues", issue.iid, marker=f"settings-note {wanted}", body=told)
    tracking_issue.change(context.bot, issue.iid, description=body, event=event)
    context.say(f"#{issue.iid}: {told}")
    return issue.iid


def _body(plan: Plan) -> str:
    if plan.in_sync:
        return "The project's settings are as `policies/gitlab.yml` wants them.\n"
    lines = [
        "The project's settings were changed beside `policies/gitlab.yml`:",
        "",
        "| Setting | Field | Is | Shall be |",
        "|---|---|---|---|",
        *(
            f"| {name(f'{item.section}: {item.key}')} | {name(item.field)} | {name(str(item.found))} "
            f"| {name(str(item.wanted))} |"
            for item in plan.differences
        ),
        "",
        "`factory gitlab apply` puts them back; a merge request that changes `policies/gitlab.yml` keeps them.",
    ]
    return "\n".join(lines) + "\n"
