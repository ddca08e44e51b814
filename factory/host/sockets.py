"""The sockets that the tunnel's ingress rules name: one of each release, and one that says which release it is."""

import hashlib
import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

from factory.errors import InvalidInput, MachineError
from factory.system import files

# unix(7): a path has at most 107 bytes.
_LONGEST = 107
_COMMIT = 12
_SECONDS = 10


def short(release: str) -> str:
    """Return a release's name with the first digits of its commit."""
    app, _, commit = release.rpartition("-")
    return f"{app}-{commit[:_COMMIT]}"


def short_folder(folder: Path) -> Path:
    """Return a folder of this user's own whose path is short, and differs by ``folder``.

    Raises ``MachineError`` if the folder of such folders is another user's.
    """
    own = Path(tempfile.gettempdir()) / f"factory-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise MachineError(f"{own} is not a folder of yours alone", hint="Delete it, or set TMPDIR to another folder.")
    return files.private_folder(own / hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8])


class Sockets:
    """A folder of sockets, which another program, such as cloudflared, may find by their names."""

    def __init__(self, folder: Path) -> None:
        """Make the folder; raises ``MachineError`` if this user may not."""
        self._folder = files.private_folder(folder)
        self._told: dict[str, UnixStreamServer] = {}

    def path(self, release: str) -> Path:
        """Return where a release answers; raises ``InvalidInput`` if the path is too long."""
        return self._named(f"{short(release)}.sock")

    def told_at(self, release: str) -> Path:
        """Return where the host itself says which release this is."""
        return self._named(f"{short(release)}.release.sock")

    def publish(self, release: str, socket: Path, runs: Callable[[], bool]) -> None:
        """Let the release's path lead to a socket; ``runs`` says whether the release runs."""
        place = self.path(release)
        if not place.is_symlink() or place.readlink() != socket:
            fresh = place.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(socket)
            fresh.replace(place)
        if release not in self._told:
            self._told[release] = _serve(self.told_at(release), release, runs)

    def remove(self, release: str) -> None:
        """Remove a release's sockets."""
        server = self._told.pop(release, None)
        if server is not None:
            server.shutdown()
            server.server_close()
        for path in (self.path(release), self.told_at(release)):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all sockets of this program."""
        for release in list(self._told):
            self.remove(release)

    def _named(self, name: str) -> Path:
        path = self._folder / name
        if len(os.fsencode(path)) > _LONGEST:
            raise InvalidInput(f"{path} is too long for a socket", hint="Set a shorter --sockets.")
        return path


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def _serve(path: Path, release: str, runs: Callable[[], bool]) -> UnixStreamServer:
    body = json.dumps({"release": release}).encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS

        def do_GET(self) -> None:
            status = HTTPStatus.OK if runs() else HTTPStatus.SERVICE_UNAVAILABLE
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a unix socket has no client address."""

    path.unlink(missing_ok=True)
    server = _Server(str(path), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
