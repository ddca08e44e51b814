"""``factory infra verify``: checks from outside that a deployment answers."""

from pathlib import Path

import click

from factory.cli import environment
from factory.cli.current import JUDGE, enter
from factory.cli.infra.options import STACK
from factory.model.deployment import CheckResult
from factory.operations import infra_job, live_releases
from factory.system import data, files
from factory.terraform import apply as applying

VERIFIED = Path(".factory/deploy/deploy.json")


@click.command()
@STACK
@click.option("--applied-earlier", is_flag=True, help="Check although this pipeline applied nothing.")
@JUDGE
def verify(stack: str, judge: Path | None, applied_earlier: bool) -> None:
    """Check the health of every app of a stack over its hostname; write the answering releases to .factory/deploy."""
    job = infra_job.opened(environment.snapshot(), enter(judge))
    if not applied_earlier and not (infra_job.PLANS / stack / applying.RESULT).exists():
        click.echo(f"nothing was applied to {stack}: nothing to verify")
        return
    apps = live_releases.answering(job.of_plan(infra_job.PLANS / stack), stack, job.releases(), say=click.echo)
    files.write_atomic(VERIFIED, data.write(CheckResult(stack, verified=True, apps=apps)))
