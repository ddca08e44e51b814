"""``factory deploy``: lists and approves deployments."""

from dataclasses import asdict

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import Refused
from factory.gitlab import deployments
from factory.instance.workspace import BOT
from factory.operations import deployment_approval


@click.group()
def command() -> None:
    """List deployments and approve them."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List deployments, newest first."""
    found = [asdict(item) | {"commit": item.sha[:12]} for item in deployments.find(current().connection())]
    columns = ("id", "environment", "status", "ref", "commit", "pipeline", "created_at")
    output.rows(found, columns, json_wanted=as_json, empty="no deployments")


@command.command()
@click.argument("deployment")
@click.option("--destroy", metavar="PLAN", help="Allow what this plan destroys; PLAN is the digest in the plan's note.")
@output.as_json
def approve(deployment: str, destroy: str | None, as_json: bool) -> None:
    """Approve a waiting deployment, as yourself, with exactly its saved plan.

    GitLab Free has no deployment approvals: there, this starts the deployment's job as you, which counts as approval.
    """
    workspace = current()
    connection = workspace.connection()
    found = deployments.get(connection, number(deployment, "#"))
    if found.status != "blocked" and connection.account == workspace.username(BOT):
        job = deployment_approval.job_of(connection, found)
        raise Refused(
            f"{connection.account} is also the factory's account, so only a click in GitLab counts as your approval",
            hint=f"Check the plan's note, then start the job at {job.web_url}",
        )
    digest, manifest = deployment_approval.saved_plan(connection, found)
    if destroy and destroy != manifest.plan:
        raise Refused(f"the plan is {manifest.plan}, not {destroy}", hint="Check the plan's note again.")
    deployment_approval.approve(connection, found, digest, destroy=destroy or "")
    output.one(
        {"deployment": found.id, "manifest": digest, "by": connection.account},
        json_wanted=as_json,
        text=f"deployment {found.id} is approved by {connection.account}: manifest {digest}",
    )
