"""A person's approval of a deployment, with exactly its saved plan."""

from factory.errors import Refused
from factory.gitlab import deployments, pipelines
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, Deployment, Job
from factory.operations import saved_plan as planned
from factory.terraform.manifest import Manifest

# CI variables of the apply job: the approved manifest, and the plan that may destroy resources.
APPROVED, DESTROY = "APPROVED_MANIFEST", "ALLOWED_DESTROY"


def approve(connection: Connection, deployment: Deployment, manifest: str, *, destroy: str = "") -> None:
    """Approve a manifest for a deployment: by GitLab's approval, or on Free by starting the job.

    ``destroy`` is the digest of the plan that may destroy resources. Raises ``Refused`` if the deployment is not of
    the protected branch, or is not waiting.
    """
    if (deployment.ref, deployment.tag) != (MAIN, False):
        ref = f"the tag {deployment.ref}" if deployment.tag else deployment.ref
        raise Refused(
            f"deployment {deployment.id} is of {ref}, not of the branch {MAIN}, so it is not the factory's",
            hint="Find out who started its pipeline, and cancel the pipeline in GitLab.",
        )
    if deployment.status == "blocked":
        comment = f"manifest {manifest}" + (f"\ndestroy {destroy}" if destroy else "")
        deployments.approve(connection, deployment.id, comment=comment)
        return
    if not waits(connection, deployment):
        raise Refused(f"deployment {deployment.id} is {deployment.status}: it does not wait for approval")
    pipelines.play(connection, deployment.job, {APPROVED: manifest, DESTROY: destroy})


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
