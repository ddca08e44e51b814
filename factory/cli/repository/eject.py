"""``factory eject``: takes the factory out of the repository, on a branch."""

from pathlib import Path

import click

from factory.cli import environment, output
from factory.operations.repository import app_source, ejection
from factory.policies import apps as app_files
from factory.policies import read as policy_files
from factory.worktrees.person_clone import PersonClone

_REPLACED = ("the gates and approvals by policy", "evidence", "agents", "returns of traffic", "drift issues")


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Replace the factory by a plain pipeline, on a new branch: GitLab and Terraform alone build and deploy.

    Pushes nothing. docs/your-repository.md says what is lost.
    """
    clone = PersonClone(Path.cwd(), environment.snapshot()).whole()
    left, apps = clone.place(), app_files.read(clone.matching(app_files.PATH))
    stacks = policy_files.read(clone.matching(policy_files.PATH)).terraform.stacks
    changes = ejection.made(clone.paths(), apps, stacks, lambda name: app_source.committed(clone, name))
    commit = clone.start(ejection.BRANCH, changes, message="Take the factory out\n")
    undo = f"git switch {left} && git branch -D {ejection.BRANCH}"
    gone = [path for path, content in changes.items() if content is None]
    written = [path for path, content in changes.items() if content is not None]
    lines = [
        f"branch {ejection.BRANCH}: {len(gone)} files of the factory deleted, written: {', '.join(written) or 'none'}",
        f"  lost: {', '.join(_REPLACED)}",
        f"  nothing is pushed · undo: {undo}",
        "  next: in the GitLab project, clear the path of the pipeline definition, and set the variables that it names",
    ]
    value = {"branch": ejection.BRANCH, "commit": commit, "deleted": gone, "written": written, "undo": undo}
    output.one(value, json_wanted=as_json, text="\n".join(lines))
