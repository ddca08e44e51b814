"""``factory init DIR``: creates a control repository from a release of the factory."""

import os
import tempfile
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import Conflict
from factory.system import files
from factory.worktrees import upgrade
from factory.worktrees.repository import Mirror


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--from", "source", metavar="PATH|URL", help="The factory's repository (default: this clone).")
@click.option("--ref", default="HEAD", help="A branch or tag of that repository (default: HEAD).")
@output.as_json
def command(folder: Path, source: str | None, ref: str, as_json: bool) -> None:
    """Create your own control repository in DIR: policies, specs, terraform, pipeline and toolkit, as one commit.

    Change it as you like; `factory upgrade` merges a later release into it.
    """
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
