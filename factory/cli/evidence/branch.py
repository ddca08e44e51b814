"""Reads the evidence branch of the instance."""

from factory.cli import output
from factory.cli.current import current
from factory.errors import NotFound, Unreachable
from factory.instance.context import make, mirror
from factory.workflow.recorder import BRANCH
from factory.worktrees import branch_files


def read_instance(*, fetch: bool) -> branch_files.BranchFiles:
    """Return the instance's evidence: fetched now, or where GitLab does not answer as of the last fetch.

    Raises ``NotFound`` if it never fetched.
    """
    workspace = current()
    try:
        if fetch:
            make(workspace, holder="", say=output.say).fetch()
    except Unreachable as error:
        output.say(f"{error}; this is the evidence as of the last fetch")
    if not mirror(workspace).path.exists():
        raise NotFound("this instance has no evidence", hint="Start the embedded servers with `factory up`.")
    return branch_files.read(mirror(workspace), BRANCH)
