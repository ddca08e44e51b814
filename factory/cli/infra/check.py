"""``factory infra verify|return``: does a deployment answer, and what becomes of the traffic where it does not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from factory.cli import environment
from factory.cli.infra.options import JUDGE, STACK
from factory.errors import FactoryError, Refused
from factory.model.facts import Plan
from factory.operations import infra_job
from factory.system import files, process
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform import release, revert
from factory.terraform.plan import Stack

VERIFIED, RETURNED = Path(".factory/deploy/deploy.json"), Path(".factory/return")


@click.command()
@STACK
@JUDGE
def verify(stack: str, judge: Path) -> None:
    """Ask every app of a stack for its health, from outside, and write which release answered to .factory/deploy."""
    job = infra_job.opened(environment.snapshot(), judge)
    if not (infra_job.PLANS / stack / applying.RESULT).exists():
        click.echo(f"nothing was applied to {stack}: there is nothing to verify")
        return
    value = {"stack": stack, "verified": True, "apps": _look(job, stack, job.releases())}
    files.write_atomic(VERIFIED, json.dumps(value).encode())


@click.command("return")
@STACK
@JUDGE
def go_back(stack: str, judge: Path) -> None:
    """Give the traffic back to the releases that took it before an apply whose deployment does not answer.

    Only what the applied plan changed is changed back; anything else is refused. .factory/return says what was done.
    """
    process.exit_when_terminated()
    job = infra_job.opened(environment.snapshot(), judge)
    infra_job.require_protected(job)
    rule = job.policies.environments.environments.get(stack)
    if rule is None or rule.failed_check != "return":
        click.echo(f"policy lets {stack} stay as it is")
        return
    try:
        seen = _return(job, stack)
    except FactoryError as error:
        _write(stack, verified=False, reason=str(error))
        raise
    _write(stack, verified=True, apps=seen)
    click.echo(f"the traffic of {stack} is back where it was")


def _return(job: infra_job.Job, stack: str) -> list[dict[str, str]]:
    """Apply the way back; return what answers then."""
    there = infra_job.PLANS.resolve() / stack
    applied, before = revert.applied(there), revert.releases_before(there)
    releases = {**job.releases(), **before}
    with job.token(stack) as token:
        (item,) = job.stacks([stack], token, releases=releases)
        _apply_inverse(item, RETURNED.resolve() / stack, applied, job)
    return _look(job, stack, releases)


def _write(stack: str, **values: Any) -> None:
    files.write_atomic(RETURNED / "return.json", json.dumps({"stack": stack, **values}).encode())


def _apply_inverse(item: Stack, out: Path, applied: Plan, job: infra_job.Job) -> None:
    manifest, back = planning.make(item, out, lock_state=True)
    if not back.changes:
        raise Refused("the release that took the traffic before is the one that does not answer")
    if beside := revert.unmanaged_changes(applied, back):
        raise Refused(
            f"going back would change what the approved plan did not: {', '.join(beside)}",
            hint="Let a person decide: `factory infra rollback` plans back through an approval.",
        )
    rules = job.policies.terraform
    applying.apply(
        item, out, applying.Order(manifest.digest(), "", job.name, rules.lock_minutes, "refuse"), job.rules()
    )


def _look(job: infra_job.Job, stack: str, releases: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what answers for each app that the stack's environment carries; raises ``Unreachable``."""
    found = []
    for name in job.carried(stack):
        app = job.apps[name]
        hostname = app.environments[stack].hostname
        edge = job.given.get("FACTORY_EDGE_URL") or f"https://{hostname}"
        seen = release.observe(edge, hostname, app.health, releases[name])
        click.echo(f"{hostname} answers with {seen}")
        found.append({"app": name, "url": f"https://{hostname}", "release": seen})
    return found
