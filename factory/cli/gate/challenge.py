"""``factory gate challenge``: seeds defects in an app and shows which of them the gates find."""

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from factory.checks import challenge
from factory.checks.mutation import catalogue
from factory.cli import environment, output
from factory.config import find_clone
from factory.errors import GateFailed, InvalidInput, NotFound
from factory.model.challenge import Defect, DefectOutcome
from factory.operations.collect import checkout
from factory.reports import challenge as report
from factory.system import files

Judge = Callable[[Sequence[tuple[str, bytes | None]]], tuple[str, ...]]
"""Takes whole new contents by path (``None`` deletes), returns the rules that the change fails."""

_BESIDE = (".gitlab-ci.yml", "policies/gates.yml", "policies/scope.yml")


@click.command()
@click.argument("app", type=click.Path(path_type=Path), default=Path("apps/hello"))
@click.option("--limit", type=click.IntRange(1), help="Seed at most this many, of every kind in turn (default: all).")
@click.option("--seed", type=int, default=0, show_default=True, help="Which ones, where there is a limit.")
@click.option("--kinds", multiple=True, metavar="PATTERN", help="Only such kinds: mutation.*, mistake.leaked-secret.")
@click.option(
    "--at-least", type=click.IntRange(0, 100), default=90, show_default=True, help="Fail below this percentage."
)
@output.as_json
def command(
    app: Path,
    limit: int | None,
    seed: int,
    kinds: tuple[str, ...],
    at_least: int,
    as_json: bool,  # noqa: FBT001 - click passes flags so
) -> None:
    """Seed defects in APP, run the gates on each, and show which survive: what a green change is worth."""
    find_clone(Path.cwd())
    with checkout.defect_judge(environment.snapshot(), app) as judge:
        outcomes = run(app, judge, limit, seed, output.say, kinds=kinds)
    found = challenge.summary(outcomes)
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
    """Seed each defect, and return which rules found it; ``kinds`` are shell patterns, none is all of them.

    Raises ``NotFound`` where there is no such app, ``InvalidInput`` where nothing can be seeded in it, and
    ``GateFailed`` where the gates mind even a comment, because then a failed gate says nothing about a defect.
    """
    contents = _contents(app)
    defects = _chosen(contents, limit, seed, kinds)
    minded = judge(catalogue.harmless(contents).files)
    if minded:
        raise GateFailed(
            f"the gates fail on a comment alone: {', '.join(minded)}",
            hint="Make the app green first: where everything fails, a found defect means nothing.",
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
    """Return the app's files and the judge's own, by their path in the clone, which holds the app as apps/<name>."""
    folder = app.resolve()
    if not folder.is_dir():
        raise NotFound(f"there is no app in {app}", hint="Name its folder: factory gate challenge apps/hello")
    root = folder.parent.parent
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    found += [root / name for name in _BESIDE if (root / name).is_file()]
    return {path.relative_to(root).as_posix(): files.read_bytes(path) for path in found}
