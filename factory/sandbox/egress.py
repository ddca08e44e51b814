"""The egress proxy: relays and records the only network traffic of a sandbox without network.

It runs in threads of the factory's process and listens on a Unix socket that ``launch`` mounts into the sandbox. The
proxy resolves names, so the sandbox needs no DNS; it refuses an allowed name that resolves to a private address.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from factory.errors import MachineError
from factory.sandbox.egress_exchange import Bounds, Exchange, Tap, shut
from factory.sandbox.egress_rules import Route, Rules
from factory.system import files

__all__ = ["Bounds", "Route", "Rules", "Tap", "serve"]

_ENDING_SECONDS = 2.0


@contextlib.contextmanager
def serve(
    path: Path,
    rules: Rules,
    *,
    record: Callable[[Mapping[str, object]], None],
    bounds: Bounds | None = None,
    tap: Tap | None = None,
) -> Iterator[None]:
    """Serve ``rules`` on the socket ``path`` while the context lasts.

    ``record`` is called once for each completed request, without any header, body, query or credential. ``tap``
    receives the traffic of routes while it passes. Only the user may enter the socket's folder.
    Raises ``MachineError`` if the socket cannot be created.
    """
    listener = _listen(path)
    server = _Server(listener, rules, record, bounds or Bounds(), tap)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.end()
        thread.join(_ENDING_SECONDS)
        path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    files.private_folder(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A socket address has at most about 100 bytes; the path through the folder's descriptor is short.
        short = Path(f"/proc/self/fd/{folder}")
        listener.bind(str(short / path.name if short.exists() else path))
        path.chmod(0o600)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise MachineError(f"cannot create the socket {path}: {error.strerror}") from error
    finally:
        os.close(folder)
    return listener


class _Server:
    """Serves each connection in a separate thread, and closes all of them at the end."""

    def __init__(
        self,
        listener: socket.socket,
        rules: Rules,
        record: Callable[[Mapping[str, object]], None],
        bounds: Bounds,
        tap: Tap | None,
    ) -> None:
        self._listener = listener
        self._rules = rules
        self._record = record
        self._bounds = bounds
        self._tap = tap
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._live: dict[threading.Thread, list[socket.socket]] = {}
        self._ended = False

    def accept(self) -> None:
        """Serve until ``end``; connections over the limit are closed at once."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            sockets = [client]
            thread = threading.Thread(target=self._serve, args=(sockets,), daemon=True)
            with self._lock:
                full = self._ended or len(self._live) >= self._bounds.connections
                if not full:
                    self._live[thread] = sockets
            if full:
                client.close()
            else:
                thread.start()

    def end(self) -> None:
        """Close every connection and wait until each is recorded."""
        with self._lock:
            self._ended = True
            live = dict(self._live)
        shut(self._listener)
        self._listener.close()
        for thread, sockets in live.items():
            for end in list(sockets):
                shut(end)
            thread.join(_ENDING_SECONDS)

    def _serve(self, sockets: list[socket.socket]) -> None:
        exchange = Exchange(sockets, self._rules, self._bounds, self._tap)
        try:
            exchange.run()
        finally:
            for end in sockets:
                end.close()
            with self._lock:
                self._live.pop(threading.current_thread(), None)
            with self._writing:
                self._record(exchange.facts())
