"""Runs inside the sandbox: relays a loopback port to the egress proxy's socket, and starts the command that uses it.

Called as ``python -I -S -E relay.py PORT SOCKET -- COMMAND…``. The command starts once the port listens. The relay
copies bytes without decisions, and ends with the command's exit code or signal. It imports only built-in modules, so
that it starts fast.
"""

import _signal  # type: ignore[import-not-found]  # the signal module starts too slowly
import _socket
import _thread
import os
import sys

_CHUNK = 65536
_CANNOT_START = 125
_FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")


def main(port: int, path: str, command: list[str]) -> int:
    """Listen, start the command, and relay until it ends; return its exit code, or its signal as a negative number."""
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    child = os.fork()
    if child == 0:
        _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # else the command inherits that Python ignores SIGPIPE
        try:
            os.execvp(command[0], command)  # noqa: S606 - the command of the launch
        except OSError as error:
            os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    for name in _FORWARDED:
        _signal.signal(getattr(_signal, name), lambda number, _: os.kill(child, number))
    _release_streams()
    # The socket's whole path may be longer than an address can hold.
    folder, _, name = path.rpartition("/")
    os.chdir(folder or "/")
    _thread.start_new_thread(_accept, (listener, name))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _release_streams() -> None:
    """Close the relay's copies of the standard streams, so that their readers see the end when the command ends."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def _accept(listener: _socket.socket, name: str) -> None:
    while True:
        handle, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - the socket module starts too slowly
        near = _socket.socket(fileno=handle)
        near.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # an answer is a stream of small pieces
        far = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0)
        try:
            far.connect(name)
        except OSError:
            near.close()
            far.close()
            continue
        open_ends = [near, far]
        _thread.start_new_thread(_copy, (near, far, open_ends))
        _thread.start_new_thread(_copy, (far, near, open_ends))


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
    ended = main(int(sys.argv[1]), sys.argv[2], sys.argv[4:])
    if ended < 0:
        # End by the same signal, so that the parent sees the same status as without the relay.
        if -ended not in {_signal.SIGKILL, _signal.SIGSTOP}:
            _signal.signal(-ended, _signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(ended if ended >= 0 else _CANNOT_START)
