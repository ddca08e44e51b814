"""``factory infra apply``: the approved plan of a stack and no other, as CI applies it."""

from pathlib import Path

import click

from factory.cli import infra_job
from factory.errors import Refused
from factory.system import files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform import release
from factory.terraform.manifest import decode


@click.command()
@infra_job.STACK
@infra_job.JUDGE
@infra_job.ARCHIVES
def apply(stack: str, judge: Path, archives: Path | None) -> None:
    """Apply a stack's saved plan, only if it is the approved one and all that it was made of still holds.

    APPROVED_MANIFEST names the manifest, ALLOWED_DESTROY the plan whose destroys were allowed; the job sets them.
    """
    process.exit_when_terminated()
    job = infra_job.opened(judge)
    infra_job.require_protected(job)
    if stack not in planning.read_index(infra_job.PLANS):
        click.echo(f"the change touches nothing of {stack}: there is nothing to apply")
        return
    folder = infra_job.PLANS.resolve() / stack
    approved = _approved(job, stack, folder)
    url = job.given.get("FACTORY_RELEASES_URL")

    def publish(token: str) -> None:
        for app, archive in job.archives(stack, archives).items() if url else ():
            name = job.releases()[app]
            release.publish(str(url), token, name, archive)
            click.echo(f"release {name} is ready")

    rules = job.policies.terraform
    order = applying.Order(approved, job.given.get("ALLOWED_DESTROY", ""), job.name, rules.lock_minutes, rules.stale)
    with job.token(stack) as token:
        (item,) = job.stacks([stack], token, archives=archives)
        applying.apply(item, folder, order, job.rules(), first=lambda: publish(token))
    click.echo(f"applied {approved}; the plan after it is empty")


def _approved(job: infra_job.Job, stack: str, folder: Path) -> str:
    """Return the manifest that may be applied; where policy asks for no approval, it is the saved one."""
    approved = job.given.get("APPROVED_MANIFEST", "")
    if approved:
        return approved
    if job.policies.environments.asked(stack):
        raise Refused("no approved manifest was given (APPROVED_MANIFEST)")
    return decode(files.read_bytes(folder / planning.MANIFEST)).digest()
