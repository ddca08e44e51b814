"""``factory app new``: writes the smallest app of a kind that passes every local gate."""

from pathlib import Path

import click

from factory.cli import environment, output
from factory.config import find_clone
from factory.errors import Refused
from factory.operations.repository import new_app
from factory.policies import apps
from factory.policies.folder import read_folder
from factory.specs.read import path_of
from factory.system import files
from factory.worktrees.person_clone import PersonClone


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(new_app.KINDS)), required=True, help="How the app is built and run.")
@output.as_json
def command(name: str, kind: str, as_json: bool) -> None:
    """Write a small app into apps/NAME that passes every local gate: its app.yml, a program, a test and a spec.

    It works without a network. Nothing is committed and nothing is pushed.
    """
    root = find_clone(Path.cwd())
    known = read_folder(root).apps.paths
    if known.root:
        raise Refused(
            f"this repository is the app {known.root} itself", hint="A repository of `factory init DIR` has many apps."
        )
    clone = PersonClone(root, environment.snapshot())
    # What is not committed counts, too.
    existing = {
        path.relative_to(root).as_posix() for folder in ("apps", "specs") for path in files.below(root / folder)
    }
    own = {path: files.read_bytes(root / path) for path in sorted(existing) if apps.PATH.fullmatch(path)}
    made = new_app.made(name, kind, owner=clone.author().name, existing=existing, others=apps.read(own))
    for path, data in made.items():
        files.write_new(files.contained(root, path), data)
    undo = f"rm -r apps/{name} {path_of(name)}"
    value = {"app": name, "kind": kind, "files": list(made), "undo": undo}
    lines = [
        f"apps/{name} is a new app of the kind {kind}: {', '.join(made)}",
        f"  nothing is committed or pushed · undo, in the repository's folder: {undo}",
        f"  next: factory app check {name}",
    ]
    output.one(value, json_wanted=as_json, text="\n".join(lines))
