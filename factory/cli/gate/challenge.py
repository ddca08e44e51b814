"""``factory gate challenge``: seeds defects in an app and shows which of them the gates find."""

import os
from pathlib import Path

import click

from factory.checks.mutation import challenge, score
from factory.cli import environment, output
from factory.config import find_clone
from factory.errors import GateFailed
from factory.operations.collect import checkout
from factory.reports import challenge as report


@click.command()
@click.argument("app", type=click.Path(path_type=Path, resolve_path=True), required=False)
@click.option(
    "--limit", type=click.IntRange(1), help="Seed at most this many defects, from every kind in turn (default: all)."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The random seed that chooses them with --limit.")
@click.option(
    "--kinds", multiple=True, metavar="PATTERN", help="Only these kinds, such as mutation.* or mistake.leaked-secret."
)
@click.option(
    "--at-least", type=click.IntRange(0, 100), default=90, show_default=True, help="Fail below this percentage."
)
@output.as_json
def command(
    app: Path | None,
    limit: int | None,
    seed: int,
    kinds: tuple[str, ...],
    at_least: int,
    as_json: bool,
) -> None:
    """Seed defects in APP (default: apps/hello), run the gates on each, and show which defects the gates miss."""
    root = find_clone(Path.cwd())
    os.chdir(root)
    app = app or root / "apps/hello"
    with checkout.defect_judge(environment.snapshot(), app) as judge:
        outcomes = challenge.run(app, judge, limit, seed, output.say, kinds=kinds)
    found = score.summary(outcomes)
    value = {**found.to_json(), "outcomes": [outcome.to_json() for outcome in outcomes]}
    output.one(value, json_wanted=as_json, text="\n".join(report.lines(found)))
    if found.percent < at_least:
        raise GateFailed(
            f"the gates found {found.percent} % of the seeded defects, less than {at_least} %",
            hint="Add a test, a rule or a gate that finds the survivors above.",
        )
