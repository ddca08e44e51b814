"""``factory init``: creates a control repository, or brings the repository that you stand in under the factory."""

import os
import tempfile
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import current
from factory.errors import Conflict
from factory.operations.repository import app_detection, starter
from factory.operations.repository.app_detection import PIPELINE
from factory.system import files
from factory.worktrees import upgrade
from factory.worktrees.person_clone import PersonClone
from factory.worktrees.repository import Mirror


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.option("--here", is_flag=True, help="Bring the repository of the current folder under the factory, on a branch.")
@click.option("--from", "source", metavar="PATH|URL", help="The factory's repository (default: this clone).")
@click.option("--ref", default="HEAD", help="A branch or tag of that repository (default: HEAD).")
@output.as_json
def command(folder: Path | None, here: bool, source: str | None, ref: str, as_json: bool) -> None:
    """Create your own control repository in DIR: policies, specs, terraform, pipeline and toolkit, as one commit.

    Change it as you like; `factory upgrade` merges a later release into it. With --here, an existing repository of a
    Python app gets only policies, the pipeline and the toolkit's wheel, on a new branch; nothing is pushed.
    """
    if here == (folder is not None):
        raise click.UsageError("name a new folder, or give --here")
    if here:
        _here(as_json=as_json)
    elif folder is not None:
        _new(folder, source, ref, as_json=as_json)


def _here(*, as_json: bool) -> None:
    clone = PersonClone(Path.cwd(), environment.snapshot()).whole()
    left, paths = clone.place(), clone.paths()
    app = app_detection.detect(paths, clone.read, folder=clone.path.name)
    added = starter.made(app, paths)
    clone.ignore("/.factory/")
    commit = clone.start(starter.BRANCH, added, message=f"Bring {app.name} under the factory\n")
    undo = f"git switch {left} && git branch -D {starter.BRANCH}"
    lines = [
        f"branch {starter.BRANCH}: {len(added)} files new, none changed",
        f"  found {app.summary()}",
        *([f"  {PIPELINE} stays as it is: it runs as a child pipeline of the factory's"] if app.pipeline else []),
        f"  nothing is pushed · undo: {undo}",
        "  next: factory gate run --history 5",
    ]
    value = {"branch": starter.BRANCH, "commit": commit, "files": list(added), "app": app, "undo": undo}
    output.one(value, json_wanted=as_json, text="\n".join(lines))


def _new(folder: Path, source: str | None, ref: str, *, as_json: bool) -> None:
    target = folder.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} exists and is not an empty folder", hint="Name a folder that does not exist.")
    found = source or str(current().settings.clone)
    with files.disk_errors(target), tempfile.TemporaryDirectory(prefix="factory-init-") as scratch:
        mirror = Mirror(Path(scratch), "")
        mirror.ensure()
        imported = upgrade.import_(mirror, found, ref=ref, parent=None)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Build it under another name and rename it, so that DIR never has half a repository.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as partial:
            work = Path(partial) / "made"
            work.mkdir()
            upgrade.found_in(work, mirror, imported)
            work.rename(target)
    shown = os.path.relpath(target)
    lines = [f"{target} is a control repository, created from factory {imported.version}"]
    lines += [
        f"  next: cd {shown} && make demo",
        "  then: connect your own GitLab project with factory connect (docs/gitlab.md)",
    ]
    value = {"folder": str(target), "version": imported.version, "commit": imported.commit}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
