"""``factory infra drift``: finds changes that were made outside terraform, in the scheduled pipeline."""

from pathlib import Path

import click

from factory.cli import environment
from factory.cli.current import JUDGE, enter
from factory.model.facts import Plan, PlannedChange
from factory.operations import infra_job
from factory.policies import plans
from factory.system import clock
from factory.terraform import drift as drifting

OUT = Path(".factory/drift")


@click.command()
@click.option("--parallel", type=click.IntRange(1, 64), help="How many stacks at once (default: one per processor).")
@JUDGE
def drift(parallel: int | None, judge: Path | None) -> None:
    """Compare every stack's state with its real resources, and write the differences to .factory/drift.

    Drift does not fail the job, because the factory opens an issue about it. A stack that can't be read fails it.
    """
    job = infra_job.opened(environment.snapshot(), enter(judge))
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
    """Print which attributes differ, without values, because more people can read a job's log than an issue."""
    if report.problem:
        click.echo(f"{report.stack}: could not be read: {report.problem}")
        return
    for change in report.resources:
        click.echo(f"{report.stack}: {'/'.join(change.actions)} {change.address} {', '.join(change.before or {})}")
    result = (
        f"{len(report.resources)} resources differ; {report.fingerprint}" if report.resources else "nothing differs"
    )
    click.echo(f"{report.stack}: {result}")
