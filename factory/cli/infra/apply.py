"""``factory infra apply``: applies the approved plan of a stack, in CI."""

from pathlib import Path

import click

from factory.cli import environment
from factory.cli.current import JUDGE, enter
from factory.cli.infra.options import ARCHIVES, STACK
from factory.errors import Refused
from factory.operations import apply_evidence, infra_job
from factory.system import files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform.manifest import decode


@click.command()
@STACK
@JUDGE
@ARCHIVES
def apply(stack: str, judge: Path | None, archives: Path | None) -> None:
    """Apply a stack's saved plan, only if it is the approved one, its evidence is whole and its inputs did not change.

    The job sets APPROVED_MANIFEST to the approved manifest, and ALLOWED_DESTROY to the plan that may destroy resources.
    """
    process.exit_when_terminated()
    job = infra_job.opened(environment.snapshot(), enter(judge))
    running = infra_job.require_protected(job)
    if stack not in planning.read_index(infra_job.PLANS):
        click.echo(f"the change does not affect {stack}: nothing to apply")
        return
    folder = infra_job.PLANS.resolve() / stack
    job = job.of_plan(folder)
    approved = _approved(job, stack, folder, started_by=running.user)
    manifest = decode(files.read_bytes(folder / planning.MANIFEST))
    # Without protected environments, the start of the job is the approval.
    starter = "" if job.has("protected_environments") else running.user

    def before() -> None:
        click.echo(apply_evidence.require(job, stack, manifest, starter=starter))

    apply_evidence.require_hosts(job, stack, manifest, say=click.echo)
    rules = job.policies.terraform
    order = applying.Order(approved, job.given.get("ALLOWED_DESTROY", ""), job.name, rules.lock_minutes, rules.stale)
    with job.token(stack) as token:
        (item,) = job.stacks([stack], token, archives=archives)
        applying.apply(item, folder, order, job.rules(), first=before)
    click.echo(f"applied {approved}; the plan after it is empty")


def _approved(job: infra_job.Job, stack: str, folder: Path, *, started_by: str) -> str:
    """Return the digest of the approved manifest; the saved one if policy requires no approval.

    Without APPROVED_MANIFEST, a person must have started the job in GitLab, which approves this pipeline's saved plan.
    An agent's start does not count.
    """
    approved = job.given.get("APPROVED_MANIFEST", "")
    by_agent = started_by.casefold() in {name.casefold() for name in job.policies.scope.agents}
    if job.policies.environments.asked(stack) and by_agent and not job.has("protected_environments"):
        raise Refused(
            f"a person must start this job: {started_by} is an agent's account, and this GitLab has no approvals",
            hint="Start it in GitLab, or with `factory deploy approve`.",
        )
    if approved:
        return approved
    if job.policies.environments.asked(stack):
        if job.given.get("CI_JOB_MANUAL") != "true":
            raise Refused("APPROVED_MANIFEST is not set, and no person started this job")
        if by_agent:
            raise Refused(
                f"APPROVED_MANIFEST is not set, and the agent {started_by}, who started this job, can't approve"
            )
    return decode(files.read_bytes(folder / planning.MANIFEST)).digest()
