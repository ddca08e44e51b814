"""``factory init DIR``: a control repository of one's own, made from a release of the factory."""

import os
import tempfile
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import Conflict
from factory.system import files
from factory.worktrees import release
from factory.worktrees.repository import Mirror


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--from", "source", metavar="PATH|URL", help="The factory's repository (default: this clone).")
@click.option("--ref", default="HEAD", help="Which of its branches or tags (default: HEAD).")
@output.as_json
def command(folder: Path, source: str | None, ref: str, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Make a control repository of your own in DIR: policies, specs, terraform, pipeline and toolkit, as one commit.

    What you change there is yours; `factory upgrade` merges a later release into it.
    """
    target = folder.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} is there and not empty", hint="Name a folder that is not there yet.")
    found = source or str(current().settings.clone)
    with files.disk_errors(target), tempfile.TemporaryDirectory(prefix="factory-init-") as scratch:
        mirror = Mirror(Path(scratch), "")
        mirror.ensure()
        made = release.import_(mirror, found, ref=ref, parent=None)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under another name until it is whole: a half-made repository never stands where the person wants one.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as partial:
            work = Path(partial) / "made"
            work.mkdir()
            release.found_in(work, mirror, made)
            work.rename(target)
    shown = os.path.relpath(target)
    lines = [f"{target} is a control repository, made from factory {made.version}"]
    lines += [
        f"  next: cd {shown} && make demo",
        "  then: factory connect, with a project of your own (docs/gitlab.md)",
    ]
    value = {"folder": str(target), "version": made.version, "commit": made.commit}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
