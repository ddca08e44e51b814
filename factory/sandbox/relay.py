"""Runs inside the sandbox: relays between a loopback port and a unix socket, and starts the command that uses the port.

Called as ``python -I -S -E relay.py out|in PORT SOCKET -- COMMAND…``. ``out`` listens on the port, and connects to the
egress proxy's socket; ``in`` listens on the socket, and connects to the port, on which the command listens. The command
starts once the relay listens. The relay copies bytes without decisions, and ends with the command's exit code or
signal. It imports only modules in C, so that it starts fast.
"""

import _signal  # type: ignore[import-not-found]  # the signal module starts too slowly
import _socket
import _thread
import errno
import os
import select
import sys
import time

TYPE_CHECKING = False  # the typing module starts too slowly
if TYPE_CHECKING:
    from collections.abc import Callable

# Bytes that are read at once, and above which nothing more is read for an end that does not take what is there.
_CHUNK, _MOST = 65536, 262144
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
    _thread.start_new_thread(_Relay(listener, *far).run, ())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _release_streams() -> None:
    """Close the relay's copies of the standard streams, so that their readers see the end when the command ends."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


class _End:
    """One of the two sockets of a connection: what is still to be sent to it, and whether it may send more."""

    def __init__(self, socket: _socket.socket, *, connecting: bool) -> None:
        self.socket, self.connecting = socket, connecting
        self.other = self
        self.left = bytearray()
        self.open, self.told, self.mask = True, False, 0

    def read(self) -> None:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        self.open = bool(data)
        self.other.left += data
        if not self.other.connecting:
            self.other.send()

    def send(self) -> None:
        """Send what is left; once all is sent that the other end had to say, tell this one."""
        try:
            while self.left:
                del self.left[: self.socket.send(self.left)]
        except BlockingIOError:
            return
        if not self.other.open and not self.told:
            self.told = True
            self.socket.shutdown(_socket.SHUT_WR)

    def wanted(self) -> int:
        """Return the events that it waits for."""
        if self.connecting:
            return select.EPOLLOUT
        reads = self.open and len(self.other.left) < _MOST
        return (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if self.left else 0)


class _Relay:
    """Every connection in one thread: threads of its own would count as processes of the command."""

    def __init__(self, listener: _socket.socket, family: int, address: "tuple[str, int] | str") -> None:
        self._listener, self._family, self._address = listener, family, address
        self._poll, self._ends = select.epoll(), dict[int, _End]()
        self._full: list[_End] = []  # a unix socket whose queue is full is asked again
        listener.setblocking(False)
        self._poll.register(listener.fileno(), select.EPOLLIN)

    def run(self) -> None:
        while True:
            ready = {number for number, _ in self._poll.poll(_PAUSE if self._full else -1)}
            for number in ready & self._ends.keys():
                if number in self._ends:  # else it ended with the other end of its connection
                    self._attempt(self._ends[number], self._move)
            if self._listener.fileno() in ready:  # last, since a new connection may get the number of one that ended
                self._accept()
            waiting, self._full = self._full, []
            for end in waiting:
                self._attempt(end, self._connect)

    def _accept(self) -> None:
        try:
            handle, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - the socket module starts too slowly
        except BlockingIOError:
            return
        except OSError:  # too many open files, or who connected has gone: later ones may be served
            time.sleep(_PAUSE)
            return
        near = _End(_socket.socket(fileno=handle), connecting=False)
        try:
            far = _End(_socket.socket(self._family, _socket.SOCK_STREAM, 0), connecting=True)
        except OSError:
            near.socket.close()
            return
        near.other, far.other = far, near
        for end in (near, far):
            end.socket.setblocking(False)
            self._ends[end.socket.fileno()] = end
        self._attempt(far, self._connect)

    def _attempt(self, end: _End, act: "Callable[[_End], None]") -> None:
        """Act on an end, and wait for what comes next on both; an error ends the connection."""
        both = (end, end.other)
        try:
            act(end)
            for item in both:
                self._wait(item)
        except (OSError, MemoryError):
            self._close(end)
            return
        if not any(item.open or item.left for item in both):
            self._close(end)

    def _connect(self, far: _End) -> None:
        for end in (far, far.other):
            if end.socket.family == _socket.AF_INET:
                # An answer is a stream of small pieces.
                end.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        error = far.socket.connect_ex(self._address)
        if error == errno.EAGAIN:
            self._full.append(far)
        elif error == 0:
            far.connecting = False
            far.send()
        elif error != errno.EINPROGRESS:
            raise OSError(error, "")

    def _move(self, end: _End) -> None:
        if end.connecting:
            if error := end.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
                raise OSError(error, "")
            end.connecting = False
            end.send()
            return
        if end.mask & select.EPOLLOUT:
            end.send()
        if end.mask & select.EPOLLIN:
            end.read()

    def _wait(self, end: _End) -> None:
        wanted, number = (0 if end in self._full else end.wanted()), end.socket.fileno()
        if wanted == end.mask:
            return
        if not end.mask:
            self._poll.register(number, wanted)
        elif wanted:
            self._poll.modify(number, wanted)
        else:  # else the end of who is not read now would be told again and again
            self._poll.unregister(number)
        end.mask = wanted

    def _close(self, end: _End) -> None:
        for item in (end, end.other):
            if item in self._full:
                self._full.remove(item)
            self._ends.pop(item.socket.fileno(), None)
            item.socket.close()


if __name__ == "__main__":
    ended = main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[5:])
    if ended < 0:
        # End by the same signal, so that the parent sees the same status as without the relay.
        if -ended not in {_signal.SIGKILL, _signal.SIGSTOP}:
            _signal.signal(-ended, _signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(ended if ended >= 0 else _CANNOT_START)
