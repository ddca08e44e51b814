"""The egress proxy: the one way out of a sandbox without network, and the record of what went through.

It listens on a Unix socket that ``launch`` shows inside the sandbox, in threads of the factory's own process. Names are
resolved here, so the sandbox needs no DNS; an allowed name that leads to a private address is refused.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    record: Callable[[Mapping[str, Any]], None],
    bounds: Bounds | None = None,
    tap: Tap | None = None,
) -> Iterator[None]:
    """Serve ``rules`` on the socket ``path`` while the context lasts.

    ``record`` is called once for each request, when it is over: never with a header, body, query or credential. ``tap``
    hears what passes on routes while it passes. The socket's folder is made private to the user.
    Raises ``MachineError`` where the socket cannot be made.
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
        # Through the folder's descriptor, where there is one: an address holds about a hundred bytes, a path more.
        short = Path(f"/proc/self/fd/{folder}")
        listener.bind(str(short / path.name if short.exists() else path))
        path.chmod(0o600)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise MachineError(f"cannot make the socket {path}: {error.strerror}") from error
    finally:
        os.close(folder)
    return listener


class _Server:
    """Accepts connections, each served in a thread of its own, and ends them all."""

    def __init__(
        self,
        listener: socket.socket,
        rules: Rules,
        record: Callable[[Mapping[str, Any]], None],
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
        """Serve until ``end``; a connection too many is closed at once."""
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
        """Close every connection and wait until each has been recorded."""
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
