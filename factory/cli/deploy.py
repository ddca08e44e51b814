"""``factory deploy``: deployments and their approval."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from factory.cli import output
from factory.cli.workplace import current, number
from factory.errors import Refused
from factory.gitlab import deployments
from factory.gitlab.connect import Connection
from factory.model.gitlab import Deployment
from factory.workflow import planned


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
@click.option("--destroy", metavar="PLAN", help="Allow what this plan destroys, by the digest that its note shows.")
@output.as_json
def approve(deployment: str, destroy: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Approve a blocked deployment, as yourself: exactly the plan that is saved for it."""
    connection = current().connection()
    found = deployments.get(connection, number(deployment, "#"))
    if found.status != "blocked":
        raise Refused(f"deployment {found.id} is {found.status}: it does not wait for approval")
    digest, manifest = saved_plan(connection, found)
    if destroy and destroy != manifest["plan"]:
        raise Refused(f"the plan is {manifest['plan']}, not {destroy}", hint="Look at the plan's note again.")
    comment = f"manifest {digest}" + (f"\ndestroy {destroy}" if destroy else "")
    deployments.approve(connection, found.id, comment=comment)
    output.one(
        {"deployment": found.id, "manifest": digest, "by": connection.account},
        json_wanted=as_json,
        text=f"deployment {found.id} is approved by {connection.account}: manifest {digest}",
    )


def saved_plan(connection: Connection, deployment: Deployment) -> tuple[str, Mapping[str, Any]]:
    """Return the digest of a deployment's saved manifest, and what it names; raises ``NotFound``.

    An environment's stack has the environment's name.
    """
    saved = planned.of(connection, deployment.pipeline)
    return saved.digest(deployment.environment), saved.manifests[deployment.environment]
