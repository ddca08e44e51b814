"""``factory status``: shows the project's open work."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.reports.tables import table
from factory.status import snapshot
from factory.status.merge_status import merge_status


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Show open issues, open merge requests, main's pipeline and waiting deployments."""
    connection = current().connection()
    state = snapshot.take(connection)
    lines = [f"{state.project} on {state.url}", f"main's pipeline: {state.main_pipeline}", ""]
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
