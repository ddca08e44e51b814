"""``factory gate challenge``: seeds defects in an app and shows which of them the gates find."""

import fnmatch
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from factory.checks.mutation import catalogue, score
from factory.cli import environment, output
from factory.config import find_clone
from factory.errors import GateFailed, InvalidInput, NotFound
from factory.model.challenge import Defect, DefectOutcome
from factory.operations.collect import checkout
from factory.reports import challenge as report
from factory.system import files

Judge = Callable[[Sequence[tuple[str, bytes | None]]], tuple[str, ...]]
"""Takes whole new contents by path (``None`` deletes), returns the rules that the change fails."""

_JUDGE_FILES = (".gitlab-ci.yml", "policies/gates.yml", "policies/scope.yml")


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
        outcomes = run(app, judge, limit, seed, output.say, kinds=kinds)
    found = score.summary(outcomes)
    value = {**found.to_json(), "outcomes": [outcome.to_json() for outcome in outcomes]}
    output.one(value, json_wanted=as_json, text="\n".join(report.lines(found)))
    if found.percent < at_least:
        raise GateFailed(
            f"the gates found {found.percent} % of the seeded defects, less than {at_least} %",
            hint="Add a test, a rule or a gate that finds the survivors above.",
        )


def run(
    app: Path, judge: Judge, limit: int | None, seed: int, say: Callable[[str], None], *, kinds: Sequence[str] = ()
) -> tuple[DefectOutcome, ...]:
    """Seed each defect, and return the rules that found it; ``kinds`` are shell patterns, empty means all.

    Raises ``NotFound`` if the app does not exist, ``InvalidInput`` if no defect can be seeded in it, and ``GateFailed``
    if the gates fail on a harmless comment, because then a failed gate says nothing about a defect.
    """
    contents = _contents(app)
    defects = _chosen(contents, limit, seed, kinds)
    failing = judge(catalogue.harmless(contents).files)
    if failing:
        raise GateFailed(
            f"the gates fail on a comment alone: {', '.join(failing)}",
            hint="Make the gates pass on the unchanged app first.",
        )
    outcomes = []
    for number, seeded in enumerate(defects, 1):
        outcome = DefectOutcome(seeded, judge(seeded.files))
        outcomes.append(outcome)
        result = f"found by {', '.join(outcome.killed_by)}" if outcome.killed_by else "SURVIVED"
        say(f"{number}/{len(defects)}  {seeded.kind}  {seeded.path}:{seeded.line}  {result}")
    return tuple(outcomes)


def _chosen(contents: dict[str, bytes], limit: int | None, seed: int, kinds: Sequence[str]) -> tuple[Defect, ...]:
    defects = tuple(
        item
        for item in catalogue.everything(contents)
        if not kinds or any(fnmatch.fnmatchcase(item.kind, pattern) for pattern in kinds)
    )
    if not defects:
        raise InvalidInput(f"no defect of these kinds can be seeded: {', '.join(kinds)}")
    return defects if limit is None else catalogue.sample(defects, limit, seed)


def _contents(app: Path) -> dict[str, bytes]:
    """Return the files of the app (apps/NAME) and of the judge, by their path in the clone."""
    folder = app.resolve()
    if not folder.is_dir():
        raise NotFound(
            f"the folder {app} does not exist", hint="Name the app's folder: `factory gate challenge apps/hello`"
        )
    root = folder.parent.parent
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    found += [root / name for name in _JUDGE_FILES if (root / name).is_file()]
    return {path.relative_to(root).as_posix(): files.read_bytes(path) for path in found}
