"""``factory status``: shows the project's open work."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.gitlab.namespace.compute_minutes import OF_A_CHANGE, ComputeMinutes
from factory.instance import token_expiry
from factory.operations import hosted_minutes
from factory.policies.folder import read_folder
from factory.reports.tables import table
from factory.status import snapshot
from factory.status.merge_status import merge_status


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Show open issues, open merge requests, main's pipeline, waiting deployments, and minutes on hosted runners."""
    workspace = current()
    connection = workspace.connection()
    token_expiry.warn(workspace, say=output.say)
    minutes = (
        None if workspace.settings.embedded else hosted_minutes.read(connection, read_folder(workspace.settings.clone))
    )
    state = snapshot.take(connection, minutes)
    lines = [f"{state.project} on {state.url}", f"main's pipeline: {state.main_pipeline}"]
    lines += [*(_minutes(state.compute_minutes) if state.compute_minutes else ()), ""]
    lines.append(
        table(["issue", "labels", "title"], [[f"#{i.iid}", ", ".join(i.labels), i.title] for i in state.issues])
    )
    rows = [[f"!{m.iid}", merge_status(connection, m), m.title] for m in state.merge_requests]
    lines += ["", table(["merge request", "status", "title"], rows)]
    lines += [
        f"\ndeployment {item.id} of {item.sha[:12]} waits: factory deploy approve {item.id}"
        for item in state.waiting_deployments
    ]
    output.one(state, json_wanted=as_json, text="\n".join(lines))


def _minutes(minutes: ComputeMinutes) -> list[str]:
    numbers = {"spent": minutes.spent, "left": minutes.left}
    told = [f"{what} not known" if number is None else f"{number} {what}" for what, number in numbers.items()]
    lines = [f"compute minutes of {minutes.namespace} this month: {', '.join(told)}"]
    if not minutes.enough:
        lines.append(
            f"  one change may need {OF_A_CHANGE}: `factory gitlab runners register` makes runners of your own, "
            "which spend none"
        )
    return lines
