"""A project's repository with an evidence branch, its releases' archives, and a host of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factory.apps import archive, unix_http
from factory.apps.archive import ReleaseManifest
from factory.apps.running import RunMachine
from factory.errors import NotFound
from factory.evidence import statement
from factory.evidence.transparency_log import BRANCH
from factory.host import runnable
from factory.host.host import Host, Source
from factory.host.runnable import Release
from factory.host.sockets import Sockets, short
from factory.host.status import HostStatus
from factory.host.supervisor import Supervisor
from factory.system import canonical
from factory.worktrees.repository import Author, Mirror
from tests.evidence import examples
from tests.servers import TOOL_PATH, git

CHAIN = ("claim", "verdict", "merge plan", "merge approval", "merge", "plan", "deploy approval")
DEPLOYED = (*CHAIN, "apply", "deploy")
SERVER = """
import os, sys, http.server, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["RELEASE"].encode())
    def log_message(self, *words):
        pass

socketserver.UnixStreamServer(os.environ["SOCKET"], Handler).serve_forever()
"""


def packed(
    folder: Path,
    code: str = SERVER,
    *,
    listen: str = "socket",
    processes: int = 16,
    state: bool = False,
    disk_mb: int = 1024,
    migrate: tuple[str, ...] = (),
    secrets: tuple[str, ...] = (),
    database: str = "",
) -> bytes:
    files = folder / "app"
    files.mkdir(parents=True)
    (files / "serve.py").write_text(code)
    manifest = ReleaseManifest(
        app="shop",
        kind="command",
        run=("python3", "serve.py"),
        listen=listen,
        variables={},
        health="/",
        memory_mb=256,
        processes=processes,
        state=state,
        disk_mb=disk_mb,
        migrate=migrate,
        secrets=secrets,
        database=database,
    )
    return archive.pack(folder, manifest)


def chain(mr: int, content: bytes, steps: tuple[str, ...] = CHAIN) -> list[dict[str, Any]]:
    """Return a merge request's statements; its plan names the archive's digest."""

    def made(name: str) -> dict[str, Any]:
        value = examples.make(name, issue=mr - 5, mr=mr)
        if name != "plan":
            return value
        named = runnable.subjects(value["predicate"]["commit"], [("shop", canonical.digest(content))])
        return statement.build("plan", subjects={**statement.subjects_of(value), **named}, predicate=value["predicate"])

    return [made(name) for name in steps]


class Place:
    """A project's repository with an evidence branch, its archives, and a host of it."""

    def __init__(self, folder: Path, sockets: Path, store: Path | None = None) -> None:
        self.folder, self.sockets, self.store = folder, sockets, store or folder
        self.remote = folder / "remote.git"
        if not self.remote.exists():
            self.remote.mkdir()
            git("init", "--bare", "--quiet", cwd=self.remote)
        self.values: list[Mapping[str, Any]] = []
        self.archives = folder / "archives"
        self.archives.mkdir(exist_ok=True)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.writer = Mirror(folder / "writer", str(self.remote))
        self.writer.ensure()
        self.host = self.made()

    def made(self, announce: Callable[[HostStatus], None] | None = None) -> Host:
        mirror = Mirror(self.store / "mirror", str(self.remote))
        mirror.ensure()
        source = Source("factory/shop", "production", mirror, "", examples.trust, self.archive)
        supervisor = Supervisor(self.store / "releases", RunMachine(TOOL_PATH, ()))
        return Host(source, supervisor, Sockets(self.sockets), self.store / "state", self.said.append, announce)

    def archive(self, release: Release) -> bytes:
        self.asked.append(release.name)
        path = self.archives / release.name
        if not path.exists():
            raise NotFound("no such archive")
        return path.read_bytes()

    def record(self, *values: Mapping[str, Any], before: int | None = None) -> None:
        """Push the log with these statements, at first dropping all but the first ``before``."""
        self.values = [*self.values[:before], *values]
        tree = examples.recorded(self.values) if self.values else {}
        head = self.writer.head(BRANCH)
        commit = self.writer.commit(dict(tree), parent=None, message="log", author=Author("a", "a@b"))
        if head:
            git("update-ref", "-d", f"refs/heads/{BRANCH}", cwd=self.remote)
        git("push", "--quiet", "--force", str(self.remote), f"{commit}:refs/heads/{BRANCH}", cwd=self.writer.path)
        self.writer.fetch("")

    def deliver(self, mr: int, steps: tuple[str, ...] = CHAIN, code: str = SERVER, *, disk_mb: int = 1024) -> str:
        """Record a merge request's statements with an archive; return its release's name."""
        content = packed(self.folder / f"source {mr} {len(list(self.archives.iterdir()))}", code, disk_mb=disk_mb)
        name = f"shop-{examples.commit(f'merge {mr}')}"
        (self.archives / name).write_bytes(content)
        self.record(*chain(mr, content, steps))
        return name

    def get(self, path: Path, url: str = "/") -> tuple[int, bytes]:
        return unix_http.get(path, url, seconds=5)

    def socket(self, name: str) -> Path:
        return self.sockets / f"{short(name)}.sock"
