"""``factory deploy``: lists and approves deployments."""

from dataclasses import asdict

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import Refused
from factory.gitlab import deployments, pipelines
from factory.gitlab.connect import Connection
from factory.instance.workspace import BOT
from factory.model.gitlab import Deployment, Job
from factory.operations import saved_plan as planned
from factory.terraform.manifest import Manifest
from factory.workflow.release import shipment


@click.group()
def command() -> None:
    """List deployments and approve them."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List deployments, newest first."""
    found = [asdict(item) | {"commit": item.sha[:12]} for item in deployments.find(current().connection())]
    columns = ("id", "environment", "status", "commit", "pipeline", "created_at")
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
        job = job_of(connection, found)
        raise Refused(
            f"{connection.account} is also the factory's account, so only a click in GitLab counts as your approval",
            hint=f"Check the plan's note, then start the job at {job.web_url}",
        )
    digest, manifest = saved_plan(connection, found)
    if destroy and destroy != manifest.plan:
        raise Refused(f"the plan is {manifest.plan}, not {destroy}", hint="Check the plan's note again.")
    decide(connection, found, digest, destroy=destroy or "")
    output.one(
        {"deployment": found.id, "manifest": digest, "by": connection.account},
        json_wanted=as_json,
        text=f"deployment {found.id} is approved by {connection.account}: manifest {digest}",
    )


def decide(connection: Connection, deployment: Deployment, manifest: str, *, destroy: str = "") -> None:
    """Approve a manifest for a deployment: by GitLab's approval, or on Free by starting the job.

    ``destroy`` is the digest of the plan that may destroy resources. Raises ``Refused`` if the deployment is not
    waiting.
    """
    if deployment.status == "blocked":
        comment = f"manifest {manifest}" + (f"\ndestroy {destroy}" if destroy else "")
        deployments.approve(connection, deployment.id, comment=comment)
        return
    if not waits(connection, deployment):
        raise Refused(f"deployment {deployment.id} is {deployment.status}: it does not wait for approval")
    pipelines.play(connection, deployment.job, {shipment.APPROVED: manifest, shipment.DESTROY: destroy})


def waits(connection: Connection, deployment: Deployment) -> bool:
    """Return whether a deployment waits for a person: it is blocked, or its job is not started."""
    if deployment.status == "blocked":
        return True
    started = deployment.approvals or deployment.status != "created"
    return not started and job_of(connection, deployment).status == "manual"


def job_of(connection: Connection, deployment: Deployment) -> Job:
    """Return the job of a deployment."""
    return next(job for job in pipelines.jobs(connection, deployment.pipeline) if job.id == deployment.job)


def saved_plan(connection: Connection, deployment: Deployment) -> tuple[str, Manifest]:
    """Return the digest and content of a deployment's saved manifest; raises ``NotFound``.

    The stack has the name of the environment.
    """
    saved = planned.of(connection, deployment.pipeline)
    return saved.digest(deployment.environment), saved.manifests[deployment.environment]
