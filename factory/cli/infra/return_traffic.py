"""``factory infra return``: returns the traffic to the previous releases."""

from pathlib import Path

import click

from factory.cli import environment
from factory.cli.current import JUDGE, enter
from factory.cli.infra.options import STACK
from factory.errors import FactoryError
from factory.model.deployment import CheckResult
from factory.operations import infra_job
from factory.operations import return_traffic as returning
from factory.system import data, files, process

RETURNED = Path(".factory/return")


@click.command("return")
@STACK
@JUDGE
def return_traffic(stack: str, judge: Path | None) -> None:
    """Return the traffic to the previous releases after the check of an applied deployment failed.

    Undoes only what the applied plan changed, and refuses anything else. Writes the result to .factory/return.
    """
    process.exit_when_terminated()
    job = infra_job.opened(environment.snapshot(), enter(judge))
    infra_job.require_protected(job)
    rule = job.policies.environments.environments.get(stack)
    if rule is None or rule.failed_check != "return":
        click.echo(f"policy leaves {stack} unchanged")
        return
    try:
        apps = returning.return_traffic(job, stack, RETURNED.resolve() / stack, say=click.echo)
    except FactoryError as error:
        _write(CheckResult(stack, reason=str(error)))
        raise
    _write(CheckResult(stack, verified=True, apps=apps))
    click.echo(f"the traffic of {stack} is back at the previous releases")


def _write(result: CheckResult) -> None:
    files.write_atomic(RETURNED / "return.json", data.write(result))
