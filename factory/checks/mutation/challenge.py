"""Seeds defects in an app, one after another, and asks a judge which of them it finds."""

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import Path

from factory.checks.mutation import catalogue
from factory.errors import GateFailed, InvalidInput, NotFound
from factory.model.challenge import Defect, DefectOutcome
from factory.system import files

Judge = Callable[[Sequence[tuple[str, bytes | None]]], tuple[str, ...]]
"""Takes whole new contents by path (``None`` deletes), returns the rules that the change fails."""

_JUDGE_FILES = (".gitlab-ci.yml", "policies/gates.yml", "policies/scope.yml")


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
