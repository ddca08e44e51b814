"""``factory infra``: plan and apply stacks, as CI does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from factory.cli import infra_check, infra_drift, infra_job, infra_operator
from factory.errors import Refused
from factory.model.facts import Plan
from factory.system import files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform import release, stacks
from factory.terraform.manifest import decode

_ARCHIVES = click.option("--archives", type=click.Path(path_type=Path), help="The folder of the apps' archives.")


@click.group()
def command() -> None:
    """Plan, apply and verify infrastructure; unlock, recover and go back."""


@command.command()
@click.option(
    "--stack", "named", multiple=True, help="A folder of terraform/live (default: those that the change touches)."
)
@click.option("--base", default="", help="The commit to compare with (default: CI's).")
@click.option("--parallel", type=click.IntRange(1, 64), help="How many at once (default: one for each processor).")
@infra_job.JUDGE
@_ARCHIVES
def plan(named: tuple[str, ...], base: str, parallel: int | None, judge: Path, archives: Path | None) -> None:
    """Plan the stacks that the change touches: plan files, their JSON and manifests of digests, in .factory/plan.

    A manifest holds the digest of the archives too: what is released is what was built when the plan was made.
    """
    job = infra_job.opened(judge, base=base)
    after = {name: rule.after for name, rule in job.policies.terraform.stacks.items()}
    paths = job.changed() if job.base and not named else None
    with job.token() as token:
        found = job.stacks(stacks.ordered(after, named or _listed(after, paths or ())), token, archives=archives)
        if paths is not None:
            found = [item for item in found if stacks.touched(item.source(), job.carried(item.name), paths)]
        made = planning.make_all(
            found,
            infra_job.PLANS.resolve(),
            after=after,
            lock_state=job.protected,
            parallel=parallel or infra_job.parallelism(),
        )
    for item in made:
        _tell(item)
    if not made:
        click.echo("the change touches no stack")
    failed = [item for item in made if item.error is not None]
    if failed and failed[0].error is not None:
        raise failed[0].error


@command.command()
@infra_job.STACK
@infra_job.JUDGE
@_ARCHIVES
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


for _each in ("locks", "unlock", "recover", "rollback", "restore"):
    command.add_command(getattr(infra_operator, _each))
for _command in (infra_check.verify, infra_check.go_back, infra_drift.drift):
    command.add_command(_command)


def _listed(after: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[str]:
    """Return the roots that policy lists; one that it does not list may be there, but no change may touch it."""
    there = stacks.present(Path.cwd())
    return [name for name in there if name in after or any(path.startswith(f"{stacks.LIVE}/{name}/") for path in paths)]


def _tell(item: planning.Made) -> None:
    if item.manifest is None:
        click.echo(f"{item.stack}: {item.error}")
        return
    for change in item.plan.changes:
        click.echo(f"{item.stack}: {'/'.join(change.actions):<16} {change.address}")
    click.echo(f"{item.stack}: {_count(item.plan)}; manifest {item.manifest.digest()}")


def _count(plan: Plan) -> str:
    return f"{len(plan.changes)} of {len(plan.resources)} resources change"


def _approved(job: infra_job.Job, stack: str, folder: Path) -> str:
    """Return the manifest that may be applied; where policy asks for no approval, it is the saved one."""
    approved = job.given.get("APPROVED_MANIFEST", "")
    if approved:
        return approved
    if job.policies.environments.asked(stack):
        raise Refused("no approved manifest was given (APPROVED_MANIFEST)")
    return decode(files.read_bytes(folder / planning.MANIFEST)).digest()
