"""State that the server's parts share: documents, repositories, artifact files and wake-up events."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.local_gitlab.serving.git import Repository
from factory.local_gitlab.serving.store import Document, Store

VERSION = "19.5.0-local"


@dataclass(frozen=True)
class Context:
    """One running server; ``kept`` is a cache folder of expanded definitions, which servers may share.

    ``refs_moved`` is set after each push, for a thread of the same process that waits for one and clears it.
    """

    state: Path
    store: Store
    base_url: str
    tier: str
    expander: tuple[str, ...]
    tool_env: Mapping[str, str]
    kept: Path
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    job_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    hook_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    refs_moved: threading.Event = field(default_factory=threading.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def repository(self, project: Document) -> Repository:
        """Return a project's bare repository."""
        return Repository(self.state / "repositories" / f"{project['id']}.git", self.tool_env)

    def artifact(self, job: Document, kind: str) -> Path:
        """Return the file of a job's artifact; ``kind`` is GitLab's artifact type."""
        return self.state / "artifacts" / str(job["id"]) / kind

    def trace(self, job: Document) -> Path:
        """Return the file of a job's log."""
        return self.state / "traces" / f"{job['id']}.log"

    def api_url(self) -> str:
        """Return the base of API v4."""
        return f"{self.base_url}/api/v4"

    def wake_pipelines(self) -> None:
        """Wake the scheduler."""
        self.wake.set()

    def end(self) -> None:
        """Answer the runners that wait for a job: the server would wait for these requests."""
        self.ended.set()
        self.job_waiting.set()
