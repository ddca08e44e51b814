"""``factory infra verify|return``: checks a deployment, and returns the traffic if the check fails."""

from collections.abc import Mapping
from pathlib import Path

import click

from factory.cli import environment
from factory.cli.infra.options import JUDGE, STACK
from factory.errors import FactoryError, Refused
from factory.model.deployment import AppRelease, CheckResult
from factory.model.facts import Plan
from factory.operations import infra_job
from factory.system import data, files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform import release, revert
from factory.terraform.plan import Stack

VERIFIED, RETURNED = Path(".factory/deploy/deploy.json"), Path(".factory/return")


@click.command()
@STACK
@JUDGE
def verify(stack: str, judge: Path) -> None:
    """Check the health of every app of a stack over its hostname; write the answering releases to .factory/deploy."""
    job = infra_job.opened(environment.snapshot(), judge)
    if not (infra_job.PLANS / stack / applying.RESULT).exists():
        click.echo(f"nothing was applied to {stack}: nothing to verify")
        return
    files.write_atomic(VERIFIED, data.write(CheckResult(stack, verified=True, apps=_look(job, stack, job.releases()))))


@click.command("return")
@STACK
@JUDGE
def go_back(stack: str, judge: Path) -> None:
    """Return the traffic to the previous releases after the check of an applied deployment failed.

    Reverts only what the applied plan changed, and refuses anything else. Writes the result to .factory/return.
    """
    process.exit_when_terminated()
    job = infra_job.opened(environment.snapshot(), judge)
    infra_job.require_protected(job)
    rule = job.policies.environments.environments.get(stack)
    if rule is None or rule.failed_check != "return":
        click.echo(f"policy leaves {stack} unchanged")
        return
    try:
        apps = _return(job, stack)
    except FactoryError as error:
        _write(CheckResult(stack, reason=str(error)))
        raise
    _write(CheckResult(stack, verified=True, apps=apps))
    click.echo(f"the traffic of {stack} is back at the previous releases")


def _return(job: infra_job.Job, stack: str) -> tuple[AppRelease, ...]:
    """Apply the inverse plan; return the releases that answer afterwards."""
    folder = infra_job.PLANS.resolve() / stack
    applied, before = revert.applied(folder), revert.releases_before(folder)
    releases = {**job.releases(), **before}
    with job.token(stack) as token:
        (item,) = job.stacks([stack], token, releases=releases)
        _apply_inverse(item, RETURNED.resolve() / stack, applied, job)
    return _look(job, stack, releases)


def _write(result: CheckResult) -> None:
    files.write_atomic(RETURNED / "return.json", data.write(result))


def _apply_inverse(item: Stack, out: Path, applied: Plan, job: infra_job.Job) -> None:
    manifest, back = planning.make(item, out, lock_state=True)
    if not back.changes:
        raise Refused("the release that does not answer already had the traffic before")
    if others := revert.unmanaged_changes(applied, back):
        raise Refused(
            f"the return would change resources that the approved plan did not: {', '.join(others)}",
            hint="Use `factory infra rollback`, which needs a person's approval.",
        )
    rules = job.policies.terraform
    applying.apply(
        item, out, applying.Order(manifest.digest(), "", job.name, rules.lock_minutes, "refuse"), job.rules()
    )


def _look(job: infra_job.Job, stack: str, releases: Mapping[str, str]) -> tuple[AppRelease, ...]:
    """Return the release that answers for each app in the stack's environment; raises ``Unreachable``."""
    found = []
    for name in job.carried(stack):
        app = job.apps[name]
        hostname = app.environments[stack].hostname
        edge = job.given.get("FACTORY_EDGE_URL") or f"https://{hostname}"
        answering = release.observe(edge, hostname, app.health, releases[name])
        click.echo(f"{hostname} answers with {answering}")
        found.append(AppRelease(name, f"https://{hostname}", answering))
    return tuple(found)
