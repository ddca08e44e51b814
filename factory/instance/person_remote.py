"""Connects the person's clone with the instance's project, so that plain `git push` and `git fetch` work."""

import shlex

from factory.instance.workspace import Workspace
from factory.system import process
from factory.worktrees.person_clone import PersonClone


def clone_of(workspace: Workspace) -> PersonClone:
    """Return the person's clone, with the person's environment but for the factory's tokens."""
    kept = {name: value for name, value in workspace.environment.items() if not name.startswith("FACTORY_TOKEN_")}
    return PersonClone(workspace.settings.clone, {**kept, "GIT_TERMINAL_PROMPT": "0"})


def ensure(workspace: Workspace) -> str:
    """Set the remote and the credential helper of this instance in the clone; return the remote's name.

    Raises ``Conflict`` if the remote's name is taken.
    """
    name = workspace.settings["instance"]
    program = shlex.join([str(process.python()), "-P", "-m", "factory", "--instance", name, "git-credential"])
    url = f"{workspace.url}/{workspace.settings['project']}.git"
    return clone_of(workspace).connect(name, url, f"!{program}")


def remote(workspace: Workspace) -> str:
    """Return the name of this instance's remote in the clone; raises ``Refused`` if none was set."""
    return clone_of(workspace).remote(workspace.settings["instance"])
