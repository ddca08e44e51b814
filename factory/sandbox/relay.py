"""Runs inside the sandbox: relays between a loopback port and a unix socket, and starts the command that uses the port.

Called as ``python -I -S -E relay.py out|in PORT SOCKET -- COMMAND…``. ``out`` listens on the port, and connects to the
egress proxy's socket; ``in`` listens on the socket, and connects to the port, on which the command listens. The command
starts once the relay listens. The relay copies bytes without decisions, and ends with the command's exit code or
signal. It imports only built-in modules, so that it starts fast.
"""

import _signal  # type: ignore[import-not-found]  # the signal module starts too slowly
import _socket
import _thread
import os
import sys
import time

_CHUNK = 65536
_CANNOT_START = 125
# Seconds until the next connection is accepted after one could not be.
_PAUSE = 0.05
_FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")


def main(way: str, port: int, path: str, command: list[str]) -> int:
    """Listen, start the command, and relay until it ends; return its exit code, or its signal as a negative number."""
    # The socket's whole path may be longer than an address can hold, so it is named from its folder.
    here, (folder, _, end) = os.getcwd(), path.rpartition("/")  # noqa: PTH109 - pathlib starts too slowly
    if way == "in":
        os.chdir(folder or "/")
    inet: tuple[int, tuple[str, int] | str] = (_socket.AF_INET, ("127.0.0.1", port))
    unix: tuple[int, tuple[str, int] | str] = (_socket.AF_UNIX, end)
    near, far = (inet, unix) if way == "out" else (unix, inet)
    listener = _socket.socket(near[0], _socket.SOCK_STREAM, 0)
    if near[0] == _socket.AF_INET:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(near[1])
    listener.listen(128)
    child = os.fork()
    if child == 0:
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # else the command inherits that Python ignores SIGPIPE
        try:
            os.chdir(here)
            os.execvp(command[0], command)  # noqa: S606 - the command of the launch
        except OSError as error:
            os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    for name in _FORWARDED:
        _signal.signal(getattr(_signal, name), lambda number, _: os.kill(child, number))
    _release_streams()
    os.chdir(folder or "/")
    _thread.start_new_thread(_accept, (listener, *far))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _release_streams() -> None:
    """Close the relay's copies of the standard streams, so that their readers see the end when the command ends."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def _accept(listener: _socket.socket, family: int, address: "tuple[str, int] | str") -> None:
    while True:
        try:
            handle, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - the socket module starts too slowly
        except OSError:  # too many open files, or who connected has gone: later ones may be served
            time.sleep(_PAUSE)
            continue
        near = _socket.socket(fileno=handle)
        try:  # in a thread of its own: a command that accepts slowly holds up no other connection
            _thread.start_new_thread(_carry, (near, family, address))
        except RuntimeError:  # the command has as many processes as it may: this connection ends, later ones may not
            near.close()


def _carry(near: _socket.socket, family: int, address: "tuple[str, int] | str") -> None:
    """Connect to the other side, and copy in both directions until both have ended."""
    far = None
    try:
        far = _socket.socket(family, _socket.SOCK_STREAM, 0)
        for end in (near, far):
            if end.family == _socket.AF_INET:
                end.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # an answer is a stream of small pieces
        far.connect(address)
        open_ends = [near, far]
        _thread.start_new_thread(_copy, (far, near, open_ends))
    except (OSError, RuntimeError):
        near.close()
        if far is not None:
            far.close()
        return
    _copy(near, far, open_ends)


def _copy(source: _socket.socket, target: _socket.socket, open_ends: list[_socket.socket]) -> None:
    """Copy until the source ends; the copy that ends last closes both."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(_socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            _shut(end)
    open_ends.pop()
    if not open_ends:
        source.close()
        target.close()


def _shut(end: _socket.socket) -> None:
    try:  # noqa: SIM105 - contextlib starts too slowly
        end.shutdown(_socket.SHUT_RDWR)
    except OSError:
        pass


if __name__ == "__main__":
    ended = main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[5:])
    if ended < 0:
        # End by the same signal, so that the parent sees the same status as without the relay.
        if -ended not in {_signal.SIGKILL, _signal.SIGSTOP}:
            _signal.signal(-ended, _signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(ended if ended >= 0 else _CANNOT_START)
