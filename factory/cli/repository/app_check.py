"""``factory app check``: judges one app as it lies in the working tree, and lists what is left before it is green."""

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import repository
from factory.config import environments
from factory.errors import GateFailed, InvalidInput
from factory.model.app_paths import APPS, AppPaths
from factory.operations.collect import app_check, checkout
from factory.operations.collect.app_check import AppCheck, AppPlace, Step
from factory.operations.repository import app_source, app_tests
from factory.policies.apps import FILE
from factory.policies.folder import read_folder
from factory.specs.read import path_of

_SCRATCH = Path(".factory/local")
_HERE = "."
# How many steps of a kind are shown.
_ALIKE = 3


@click.command()
@click.argument("name", metavar="[APP]", required=False)
@click.option("--base", help="Compare with this commit (default: origin/main or main).")
@click.option("--spec", metavar="ID", help="The spec that the change is for (default: the app's name).")
@output.as_json
def command(name: str | None, base: str | None, spec: str | None, as_json: bool) -> None:
    """Run the local gates on an app as its files lie here, and list what is left before they pass.

    Nothing has to be committed: your working tree counts, without what git ignores. APP may be `.`, the app of the
    current folder. Exit code 3 means that the app's files leave something open, 6 that a required gate did not pass.
    """
    here, root = Path.cwd(), repository()
    os.chdir(root)
    rules = read_folder(root)
    known = rules.apps.paths
    names = [known.root] if known.root else list(app_tests.apps_in(root))
    app = app_source.chosen(names, _named(name, here, root, known))
    given = environment.snapshot()
    place = checkout.checkout(given, base)
    found = app_check.check(
        AppPlace(root, app, known, spec or app),
        place,
        rules,
        scratch=_SCRATCH.absolute(),
        environments=environments(given),
        say=output.say,
    )
    value = {**asdict(found), "green": found.green}
    output.one(value, json_wanted=as_json, text="\n".join(_lines(found, known, spec or app)))
    needed = [step for step in found.steps if step.required]
    if needed:
        kind = InvalidInput if needed[0].asked_by == FILE or not found.verdicts else GateFailed
        left = f"{len(needed)} step{'' if len(needed) == 1 else 's'} left before {app} is green"
        raise kind(left, hint=f"Do step 1 above, then run `factory app check {app}` again.")


def _named(name: str | None, here: Path, root: Path, known: AppPaths) -> str | None:
    """Return the app that the argument means: ``.`` is the one of the current folder, or the only one."""
    if name != _HERE or known.root:
        return name if name != _HERE else None
    parts = here.resolve().relative_to(root.resolve()).parts
    return parts[1] if parts[:1] == (APPS.rstrip("/"),) and len(parts) > 1 else None


def _lines(found: AppCheck, known: AppPaths, spec: str) -> list[str]:
    passed = [item.gate for item in found.verdicts if item.result == "passed"]
    lines = [f"{found.app}: {len(passed)} of {len(found.verdicts)} local gates passed: {', '.join(passed)}"]
    if not found.verdicts:
        lines = [f"{found.app}: no gate ran"]
    alike: Counter[tuple[str, str]] = Counter()
    for number, step in enumerate(found.steps, 1):
        kind = (step.asked_by, step.next)
        alike[kind] += 1
        if alike[kind] <= _ALIKE:
            lines += [f"{number}. {_place(step)}{step.problem}", f"   → {step.next}"]
    for (gate, then), count in alike.items():
        if count > _ALIKE:
            lines.append(f"… and {count - _ALIKE} more of {gate}, with the same next step: {then} `--json` has all.")
    if found.green:
        paths = "." if known.root else f"apps/{found.app} {path_of(spec)}"
        lines.append(f"green · next: git add {paths}, commit with the trailer `Spec: {spec}`, and run factory propose")
    return lines


def _place(step: Step) -> str:
    where = f"{step.path}:{step.line}  " if step.line else f"{step.path}  " if step.path else ""
    return f"{step.asked_by}{'' if step.required else ' (not required)'}  {where}"
