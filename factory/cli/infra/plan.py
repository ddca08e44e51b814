"""``factory infra plan``: plans the stacks that a change affects, in CI."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from factory.cli import environment
from factory.cli.current import JUDGE, enter
from factory.cli.infra.options import ARCHIVES
from factory.cloudflare.client import Reader
from factory.model.facts import Plan
from factory.operations import apply_evidence, infra_job
from factory.operations.infra_job import Job
from factory.operations.zone import plan_check
from factory.terraform import plan as planning
from factory.terraform import stacks
from factory.terraform.plan import Stack


@click.command()
@click.option(
    "--stack", "named", multiple=True, help="A folder of terraform/live (default: those that the change affects)."
)
@click.option("--base", default="", help="The commit to compare with (default: CI's diff base).")
@click.option("--parallel", type=click.IntRange(1, 64), help="How many stacks at once (default: one per processor).")
@JUDGE
@ARCHIVES
def plan(named: tuple[str, ...], base: str, parallel: int | None, judge: Path | None, archives: Path | None) -> None:
    """Plan the stacks that the change affects; write plan files, their JSON and manifests of digests to .factory/plan.

    On main, these are the stacks that lack something of main: also what an earlier push changed whose plan or apply
    failed.

    A manifest includes the digests of the apps' archives, so an apply releases exactly what was built for the plan. A
    plan that would remove others' Cloudflare rules, or needs what the zone's Cloudflare plan lacks, is refused.
    """
    job = infra_job.opened(environment.snapshot(), enter(judge), base=base)
    if job.protected and job.apps and apply_evidence.founding(job):
        click.echo("no merge is recorded yet, so the first deployment is infrastructure alone: it carries no app")
        job = replace(job, apps={})
    after = {name: rule.after for name, rule in job.policies.terraform.stacks.items()}
    base = job.base if not named else ""
    paths = job.changed(base) if base else None
    with job.token() as token:
        found = job.stacks(stacks.ordered(after, named or _listed(after, paths or ())), token, archives=archives)
        if base:
            found = _affected(job, found)
        results = planning.make_all(
            found,
            infra_job.PLANS.resolve(),
            after=after,
            lock_state=job.protected,
            parallel=parallel or infra_job.parallelism(),
            check=plan_check.of(Reader(token, url=job.given.get("CLOUDFLARE_BASE_URL", ""))),
        )
    for item in results:
        _tell(item)
    if not results:
        click.echo("the change affects no stack")
    failed = [item for item in results if item.error is not None]
    if failed and failed[0].error is not None:
        raise failed[0].error


def _affected(job: Job, found: Sequence[Stack]) -> list[Stack]:
    """Return the stacks that lack something of the job's commit: of a merge request what it changes, of main the rest.

    A push to main plans also what an earlier push changed whose plan or apply failed.
    """
    names = [item.name for item in found]
    since = apply_evidence.provided(job, names) if job.protected else dict.fromkeys(names, job.base)
    paths = {commit: job.changed(commit) for commit in set(since.values()) if commit}
    return [
        item
        for item in found
        if (changed := paths.get(since[item.name] or "")) is None
        or stacks.touched(item.source(), job.carried(item.name), changed)
    ]


def _listed(after: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[str]:
    """Return the existing roots that policy lists, and unlisted ones that the change touches, which must fail."""
    existing = stacks.present(Path.cwd())
    return [
        name for name in existing if name in after or any(path.startswith(f"{stacks.LIVE}/{name}/") for path in paths)
    ]


def _tell(item: planning.PlanResult) -> None:
    if item.manifest is None:
        click.echo(f"{item.stack}: {item.error}")
        return
    for change in item.plan.changes:
        click.echo(f"{item.stack}: {'/'.join(change.actions):<16} {change.address}")
    click.echo(f"{item.stack}: {_count(item.plan)}; manifest {item.manifest.digest()}")


def _count(plan: Plan) -> str:
    return f"{len(plan.changes)} of {len(plan.resources)} resources change"
