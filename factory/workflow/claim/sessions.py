"""The sessions of every issue that has been claimed, and the files that ended ones leave on this machine."""

from datetime import timedelta

from factory.policies.model import Policies
from factory.system import clock, files
from factory.workflow.claim import lease
from factory.workflow.context import Context
from factory.worktrees import worktree


def sweep(context: Context, policies: Policies) -> int:
    """Delete the files of ended sessions after ``session_days`` of policies/retention.yml; return how many sessions."""
    held = {item.session for item in every(context) if not item.released}
    oldest = clock.now() - timedelta(days=policies.retention.session_days)
    removed = 0
    for folder in files.subfolders(context.machine.state / "sessions"):
        if folder.name not in held and files.modified(folder) < oldest:
            worktree.remove(context.mirror, folder / "worktree")
            files.remove_tree(folder)
            removed += 1
    return removed


def every(context: Context) -> list[lease.Lease]:
    """Return the newest lease of every issue that has been claimed."""
    found = []
    for branch in context.mirror.branches(lease.PREFIX):
        number = branch.removeprefix(lease.PREFIX)
        held = lease.read(context.mirror, int(number)) if number.isdigit() else None
        if held:
            found.append(held[0])
    return found
