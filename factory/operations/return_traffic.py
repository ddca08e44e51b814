"""Returns the traffic of a stack to the previous releases after the check of an applied deployment failed."""

from collections.abc import Callable
from pathlib import Path

from factory.errors import Refused
from factory.model.deployment import AppRelease
from factory.model.facts import Plan
from factory.operations import infra_job, live_releases
from factory.terraform import apply as applying
from factory.terraform import inverse_plan
from factory.terraform import plan as planning
from factory.terraform.plan import Stack


def return_traffic(job: infra_job.Job, stack: str, out: Path, *, say: Callable[[str], None]) -> tuple[AppRelease, ...]:
    """Apply the inverse of the applied plan, with its files in ``out``; return the releases that answer afterwards.

    Raises ``Refused`` if the inverse would change anything that the applied plan did not.
    """
    folder = infra_job.PLANS.resolve() / stack
    job = job.of_plan(folder)
    applied, before = inverse_plan.applied(folder), inverse_plan.releases_before(folder)
    releases = {**job.releases(), **before}
    with job.token(stack) as token:
        (item,) = job.stacks([stack], token, releases=releases)
        _apply_inverse(item, out, applied, job)
    return live_releases.answering(job, stack, releases, say=say)


def _apply_inverse(item: Stack, out: Path, applied: Plan, job: infra_job.Job) -> None:
    manifest, back = planning.make(item, out, lock_state=True)
    if not back.changes:
        raise Refused("the release that does not answer already had the traffic before")
    if others := inverse_plan.unmanaged_changes(applied, back):
        raise Refused(
            f"the return would change resources that the approved plan did not: {', '.join(others)}",
            hint="Use `factory infra rollback`, which needs a person's approval.",
        )
    rules = job.policies.terraform
    applying.apply(
        item, out, applying.Order(manifest.digest(), "", job.name, rules.lock_minutes, "refuse"), job.rules()
    )
