"""``factory infra drift``: what was changed outside terraform, as the scheduled pipeline finds it out."""

from pathlib import Path

import click

from factory.cli import environment
from factory.cli.infra.options import JUDGE
from factory.model.facts import Plan, PlannedChange
from factory.operations import infra_job
from factory.policies import plans
from factory.system import clock
from factory.terraform import drift as drifting

OUT = Path(".factory/drift")


@click.command()
@click.option("--parallel", type=click.IntRange(1, 64), help="How many at once (default: one for each processor).")
@JUDGE
def drift(parallel: int | None, judge: Path) -> None:
    """Compare every stack's state with the world, and write what differs to .factory/drift.

    Drift is no failure: the factory opens an issue of it. A stack that can't be looked at is one.
    """
    job = infra_job.opened(environment.snapshot(), judge)
    today = clock.timestamp()[:10]

    def counts(change: PlannedChange) -> bool:
        return bool(plans.counted(job.policies, Plan("", "", (change,)), today=today))

    with job.token() as token:
        found = drifting.look_all(
            job.stacks(sorted(job.policies.terraform.stacks), token),
            OUT.resolve(),
            counts,
            parallel=parallel or infra_job.parallelism(),
        )
    for item in found:
        _tell(item.report)
    failed = [item.error for item in found if item.error is not None]
    if failed:
        raise failed[0]


def _tell(report: drifting.Report) -> None:
    """Print which attributes differ, without their values: a job's log has more readers than an issue."""
    if report.problem:
        click.echo(f"{report.stack}: not looked at: {report.problem}")
        return
    for change in report.resources:
        click.echo(f"{report.stack}: {'/'.join(change.actions)} {change.address} {', '.join(change.before or {})}")
    told = f"{len(report.resources)} resources differ; {report.fingerprint}" if report.resources else "nothing differs"
    click.echo(f"{report.stack}: {told}")
