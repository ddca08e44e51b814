"""``factory infra plan``: the saved plans of the stacks that a change touches, as CI makes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from factory.cli import environment
from factory.cli.infra.options import ARCHIVES, JUDGE
from factory.model.facts import Plan
from factory.operations import infra_job
from factory.terraform import plan as planning
from factory.terraform import stacks


@click.command()
@click.option(
    "--stack", "named", multiple=True, help="A folder of terraform/live (default: those that the change touches)."
)
@click.option("--base", default="", help="The commit to compare with (default: CI's).")
@click.option("--parallel", type=click.IntRange(1, 64), help="How many at once (default: one for each processor).")
@JUDGE
@ARCHIVES
def plan(named: tuple[str, ...], base: str, parallel: int | None, judge: Path, archives: Path | None) -> None:
    """Plan the stacks that the change touches: plan files, their JSON and manifests of digests, in .factory/plan.

    A manifest holds the digest of the archives too: what is released is what was built when the plan was made.
    """
    job = infra_job.opened(environment.snapshot(), judge, base=base)
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


def _listed(after: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[str]:
    """Return the roots that policy lists; one that it does not list may be there, but no change may touch it."""
    there = stacks.present(Path.cwd())
    return [name for name in there if name in after or any(path.startswith(f"{stacks.LIVE}/{name}/") for path in paths)]


def _tell(item: planning.PlanResult) -> None:
    if item.manifest is None:
        click.echo(f"{item.stack}: {item.error}")
        return
    for change in item.plan.changes:
        click.echo(f"{item.stack}: {'/'.join(change.actions):<16} {change.address}")
    click.echo(f"{item.stack}: {_count(item.plan)}; manifest {item.manifest.digest()}")


def _count(plan: Plan) -> str:
    return f"{len(plan.changes)} of {len(plan.resources)} resources change"
