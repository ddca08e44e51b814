"""Says on a branch of the project what this host runs, signed with the host's own key."""

from dataclasses import dataclass
from pathlib import Path

from factory.evidence.sign import Signer, generate
from factory.host.status import HostStatus
from factory.operations.hosts import readiness, waiting
from factory.operations.hosts.readiness import Readiness, ReadyRelease
from factory.system import files
from factory.worktrees.repository import Author, Mirror

_KEY = "host.pem"


def own_key(folder: Path) -> Signer:
    """Return the key of the host whose state is in the folder; it is made the first time, and never leaves it."""
    path = files.private_folder(folder) / _KEY
    if not path.exists():
        files.write_atomic(path, generate(), mode=0o600)
    return Signer(files.read_bytes(path))


@dataclass(frozen=True)
class Announcement:
    """Where a host says what it runs: the project's mirror, a token that may push, the host's name and its key."""

    mirror: Mirror
    token: str
    name: str
    signer: Signer

    def publish(self, status: HostStatus) -> None:
        """Push what the status says, unless the branch says it already; raises the errors of ``Mirror.push``."""
        releases = tuple(ReadyRelease(item.release, item.archive, item.ready) for item in status.releases)
        said = Readiness(status.project, status.environment, self.name, status.size, status.root, releases)
        content = readiness.seal(said, self.signer)
        branch = readiness.branch(status.environment, self.name)
        if waiting.said(self.mirror, branch) == content:
            return
        author = Author(self.name, f"{self.name}@localhost")
        message = f"Say what {self.name} runs, by {status.size} statements of evidence\n"
        commit = self.mirror.commit(
            {readiness.FILE: content}, parent=self.mirror.head(branch), message=message, author=author
        )
        self.mirror.push(commit, branch, self.token)
