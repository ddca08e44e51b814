"""``factory deploy``: deployments and their approval."""

from dataclasses import asdict
from typing import Any

import click

from factory.cli import output
from factory.cli.workplace import current, number
from factory.errors import Refused
from factory.gitlab import deployments
from factory.gitlab.connect import Connection
from factory.model.gitlab import Deployment
from factory.system import canonical
from factory.workflow import review


@click.group()
def command() -> None:
    """List deployments and approve them."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List deployments, newest first."""
    found = [asdict(item) | {"commit": item.sha[:12]} for item in deployments.find(current().connection())]
    columns = ("id", "environment", "status", "commit", "pipeline", "created_at")
    output.rows(found, columns, json_wanted=as_json, empty="no deployments")


@command.command()
@click.argument("deployment")
@output.as_json
def approve(deployment: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Approve a blocked deployment, as yourself: exactly the plan that is saved for it."""
    connection = current().connection()
    found = deployments.get(connection, number(deployment, "#"))
    if found.status != "blocked":
        raise Refused(f"deployment {found.id} is {found.status}: it does not wait for approval")
    digest, _ = saved_plan(connection, found)
    deployments.approve(connection, found.id, comment=f"manifest {digest}")
    output.one(
        {"deployment": found.id, "manifest": digest, "by": connection.account},
        json_wanted=as_json,
        text=f"deployment {found.id} is approved by {connection.account}: manifest {digest}",
    )


def saved_plan(connection: Connection, deployment: Deployment) -> tuple[str, dict[str, Any]]:
    """Return the digest of a deployment's saved manifest, and what it names; raises ``NotFound``."""
    _, manifest = review.manifest_of(connection, deployment.pipeline)
    return canonical.digest_of(manifest), manifest
