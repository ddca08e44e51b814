"""Finds the evidence and the trust root that a command reads: of the instance, of a clone, or of an address."""

from pathlib import Path

from factory.cli import output
from factory.cli.current import current
from factory.config import owner_of
from factory.errors import NotFound, Unreachable
from factory.evidence.transparency_log import BRANCH
from factory.evidence.trust import Trust
from factory.model.gitlab import MAIN
from factory.operations import trust_root
from factory.policies import read
from factory.policies.trust import PATH
from factory.worktrees import branch_files


def files_of(given: str | None, *, fetch: bool = True) -> branch_files.BranchFiles:
    """Return the evidence of a clone or address; without one the instance's, or this clone's if it has no instance."""
    source = given or _clone()
    return branch_files.fetch(source, BRANCH) if source else read_instance(fetch=fetch)


def trust_of(given: str | None, file: Path | None) -> Trust:
    """Return the trust root of a file, else that of the policies on main in the clone, else the instance's."""
    from factory.instance import context  # noqa: PLC0415 - start-up speed: the engine

    if file:
        return context.read_trust(file)
    source = given or _clone()
    if source is None:
        return context.trust(current())
    # Not the working tree: it may have somebody's merge request.
    folder = source if Path(source).is_dir() else str(current().settings.clone)
    main = branch_files.fetch(folder, MAIN).content
    return trust_root.of_policies(read.read({path: main[path] for path in main if path.startswith("policies/")}))


def read_instance(*, fetch: bool) -> branch_files.BranchFiles:
    """Return the instance's evidence: fetched now, or where GitLab does not answer as of the last fetch.

    Raises ``NotFound`` if it never fetched.
    """
    from factory.instance.context import make, mirror  # noqa: PLC0415 - start-up speed: the engine

    workspace = current()
    try:
        if fetch:
            make(workspace, holder="", say=output.say).fetch()
    except Unreachable as error:
        output.say(f"{error}; this is the evidence as of the last fetch")
    if not mirror(workspace).path.exists():
        raise NotFound("this instance has no evidence", hint="Start the embedded servers with `factory up`.")
    return branch_files.read(mirror(workspace), BRANCH)


def has_instance(clone: Path) -> bool:
    """Return whether the running command's instance was provisioned, and belongs to a clone or to its worktrees."""
    workspace = current()
    return (workspace.state / "trust.json").exists() and workspace.settings.owner == owner_of(clone)


def _clone() -> str | None:
    """Return this clone if its policies name keys and it has no instance, else ``None``."""
    clone = current().settings.clone
    return str(clone) if (clone / PATH).exists() and not has_instance(clone) else None
