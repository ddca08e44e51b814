"""Reads from the evidence what a host must run: the log is verified whole, and continues what the host has seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import EvidenceInvalid, MachineError
from factory.evidence import transparency_log, verify
from factory.evidence.transparency_log import BRANCH, CHECKPOINT
from factory.evidence.trust import Trust
from factory.host import runnable
from factory.host.runnable import Release, Role
from factory.operations import seen_checkpoint
from factory.worktrees.repository import Mirror

# The number of no merge request: `runnable` judges the chains itself.
_NONE = 0
_HINT = "What runs goes on running. See `factory evidence verify`."


@dataclass(frozen=True)
class Orders:
    """The releases that must run, and the log that says so: its number of statements and its root hash in hex.

    ``roles`` says of each release by its name why it must.
    """

    releases: tuple[Release, ...] = ()
    size: int = 0
    root: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)


def read(mirror: Mirror, trust: Trust, kept: Path, *, project: str, environment: str) -> Orders:
    """Return the orders for an environment of a project, from the evidence branch as of the last fetch.

    ``kept`` is the folder in which the newest checkpoint is kept. Raises ``EvidenceInvalid`` if a check of the log
    fails, or if the log does not continue that checkpoint, and ``MachineError`` if the new one can't be kept.
    """
    known = seen_checkpoint.trusted(kept, trust)
    head = mirror.head(BRANCH)
    tree = mirror.tree(head) if head else {}
    if not tree:
        if known.previous_checkpoint or known.pinned:
            raise EvidenceInvalid("the evidence that this host has seen is gone", hint=_HINT)
        return Orders()
    report = verify.verify(tree, trust=known, merge_request=_NONE)
    if not report.passed:
        raise EvidenceInvalid(f"the evidence does not hold: {report.findings[0].reason}", hint=_HINT)
    _keep(kept, trust, tree[CHECKPOINT])
    entries = transparency_log.valid(tree, trust)
    found = runnable.runnable(entries, project=project, environment=environment, trust=trust)
    needed = runnable.needed(found, entries, project=project, environment=environment)
    return Orders(tuple(release for release in found if release.name in needed), report.size, report.root, needed)


def _keep(kept: Path, trust: Trust, note: bytes) -> None:
    """Keep the checkpoint; a host that forgets what it saw would take an older log for the newest."""
    seen_checkpoint.keep(kept, trust, note)
    seen = seen_checkpoint.read(kept, trust)
    if seen is None or seen.note.encode() != note:
        raise MachineError(f"{kept} cannot be written", hint="Free some space there, or set another --state.")
