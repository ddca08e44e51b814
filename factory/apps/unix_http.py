"""Asks a server that listens on a unix socket."""

import http.client
import socket
from contextlib import suppress
from pathlib import Path
from threading import Event, Timer

_MIB = 2**20


def get(path: Path, url_path: str, *, seconds: float) -> tuple[int, bytes]:
    """Return status and body of a ``GET`` over a unix socket; of a body that takes longer, what came in these seconds.

    Raises ``TimeoutError`` without a status in that time, ``OSError`` and ``http.client``'s errors.
    """
    connection, late = _UnixConnection(path, seconds), Event()
    # A timeout of the socket would begin again with every byte.

    def end() -> None:
        late.set()
        connection.cut()

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", url_path, headers={"Host": "localhost", "Connection": "close"})
        answer = connection.getresponse()
        if late.is_set():  # headers that were cut off look as if they had ended
            raise TimeoutError(f"no answer within {seconds:g} s")
        return answer.status, _body(answer)
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError(f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
        connection.close()


def _body(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_MIB)
    except http.client.IncompleteRead as error:
        return error.partial
    except OSError:
        return b""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._own: socket.socket | None = None

    def connect(self) -> None:
        self._own = self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def cut(self) -> None:
        """End the connection while another thread reads from it."""
        if self._own is not None:
            with suppress(OSError):
                self._own.shutdown(socket.SHUT_RDWR)
