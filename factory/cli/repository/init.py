"""``factory init``: creates a control repository, or brings the repository that you stand in under the factory."""

import errno
import os
import shlex
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

import factory
from factory.apps.detection.detect import detect
from factory.cli import environment, output
from factory.errors import Conflict, Refused
from factory.operations.repository import app_detection, starter
from factory.operations.repository.app_detection import PIPELINE
from factory.system import files
from factory.worktrees.person_clone import PersonClone


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.option("--here", is_flag=True, help="Bring the repository of the current folder under the factory, on a branch.")
@output.as_json
def command(folder: Path | None, here: bool, as_json: bool) -> None:
    """Create a control repository in the new folder DIR: policies, the pipeline and the toolkit's wheel, as one commit.

    Its apps will be below apps/; `factory app add` brings them, and `factory infra add` their infrastructure. With
    --here, an existing repository of a Python app gets these files, on a new branch. Nothing is pushed.
    """
    if here == (folder is not None):
        raise click.UsageError("name a new folder, or give --here")
    if here:
        _here(as_json=as_json)
    elif folder is not None:
        _new(folder, as_json=as_json)


def _here(*, as_json: bool) -> None:
    clone = PersonClone(Path.cwd(), environment.snapshot()).whole()
    left, paths = clone.place(), clone.paths()
    app = app_detection.detect(paths, clone.read, folder=clone.path.name)
    said = detect(paths, clone.read)
    added = starter.made(app, paths)
    _require_default_branch(clone)
    clone.ignore("/.factory/")
    commit = clone.start(starter.BRANCH, added, message=f"Bring {app.name} under the factory\n")
    undo = f"git switch {left} && git branch -D {starter.BRANCH}"
    lines = [
        f"branch {starter.BRANCH}: {len(added)} files new, none changed",
        f"  found {app.summary()}",
        *(f"  {line}" for line in said.lines()),
        *([f"  {PIPELINE} stays as it is: it runs as a child pipeline of the factory's"] if app.pipeline else []),
        f"  nothing is pushed · undo: {undo}",
        "  next: factory gate run --history 5",
    ]
    value = {
        "branch": starter.BRANCH,
        "commit": commit,
        "files": list(added),
        "app": app,
        "detected": asdict(said),
        "undo": undo,
    }
    output.one(value, json_wanted=as_json, text="\n".join(lines))


def _require_default_branch(clone: PersonClone) -> None:
    """Raise ``Refused`` on a branch with commits of its own: `up` and `connect` push what begins here as main."""
    defaults = clone.default_branches()
    if defaults and clone.current() not in defaults and clone.head() not in defaults.values():
        name = next(iter(defaults))
        raise Refused(
            f"this is {clone.current() or 'no branch'}, not the default branch {name}: what it has would become main",
            hint=f"Run `git switch {name}`, then this again.",
        )


def _exists(target: Path) -> Conflict:
    return Conflict(f"{target} exists and is not an empty folder", hint="Name a folder that does not exist.")


def _new(folder: Path, *, as_json: bool) -> None:
    target = folder.expanduser().absolute()
    with files.disk_errors(target):
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise _exists(target)
        made = starter.company(target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Build it under another name and rename it, so that DIR never has half a repository.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as partial:
            work = Path(partial) / "made"
            work.mkdir()
            commit = PersonClone(work, environment.snapshot()).begin(made, message="Start the control repository\n")
            try:
                work.rename(target)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:  # another process was faster
                    raise _exists(target) from error
                raise
    lines = [
        f"{target} is a control repository: {len(made)} files, one commit on main",
        f"  nothing is pushed · undo: rm -rf {shlex.quote(os.path.relpath(target))}",
        f"  next: cd {shlex.quote(os.path.relpath(target))} && factory up",
    ]
    value = {"folder": str(target), "commit": commit, "files": list(made), "version": factory.__version__}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
