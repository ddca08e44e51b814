"""``factory customize``: copies a file that the factory brings along into the repository, to change it."""

import click

from factory.cli import output
from factory.cli.current import repository
from factory.errors import Conflict, NotFound
from factory.system import defaults, files

# Folder of the repository → folder of the package's files.
_FOLDERS = {"policies": "policies", "runbooks": "runbooks", ".agents/skills": "skills"}


@click.command()
@click.argument("file", required=False)
@click.option("--print", "shown", is_flag=True, help="Print it; write nothing.")
@output.as_json
def command(file: str | None, shown: bool, as_json: bool) -> None:
    """Copy FILE, such as runbooks/roll-back.md, into the repository to change it; without FILE, list what there is."""
    known = {
        f"{folder}/{path.removeprefix(f'{shelf}/')}": data
        for folder, shelf in _FOLDERS.items()
        for path, data in defaults.below(shelf, nested=shelf == "skills").items()
    }
    root = repository()
    if file is None:
        rows = [{"file": path, "default": not (root / path).exists()} for path in sorted(known)]
        output.rows(rows, ("file", "default"), json_wanted=as_json, empty="nothing")
        return
    if file not in known:
        raise NotFound(f"the factory brings no {file} along", hint="List what there is with `factory customize`.")
    if shown:
        output.one(
            {"file": file, "text": known[file].decode()}, json_wanted=as_json, text=known[file].decode().rstrip()
        )
        return
    if (root / file).exists():
        raise Conflict(f"{file} exists already", hint="Edit it.")
    files.write_atomic(root / file, known[file])
    output.one({"file": file}, json_wanted=as_json, text=f"{file} is yours now\n  next: edit it, and commit it")
