"""A seccomp filter that refuses system calls against which namespaces do not protect.

Kernel keys and vsock have no namespace, any process can type into its terminal (TIOCSTI), io_uring opens sockets past
a filter, most kernel exploits need a user namespace, and a set-uid file stays when its author has gone.
"""

import errno
import fcntl
import functools
import os
import platform
import struct

# linux/bpf_common.h and linux/seccomp.h: classic BPF over struct seccomp_data.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGUMENT = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_NEW_USER = 0x10000000
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink (which lists the sandbox's own interfaces)

_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {"ioctl": 16, "socket": 41, "clone": 56, "unshare": 272, "clone3": 435, "setns": 308}
        | {"add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323}
        | {"open": 2, "creat": 85, "chmod": 90, "fchmod": 91, "mknod": 133, "openat": 257, "mknodat": 259}
        | {"fchmodat": 268},
    ),
    "aarch64": (
        0xC00000B7,
        {"ioctl": 29, "socket": 198, "clone": 220, "unshare": 97, "clone3": 435, "setns": 268}
        | {"add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "bpf": 280, "userfaultfd": 282}
        | {"mknodat": 33, "fchmod": 52, "fchmodat": 53, "openat": 56},
    ),
}
_IO_URING, _OPENAT2, _FCHMODAT2 = (425, 426, 427), 437, 452
# Which argument of a call has the mode of a file (stat.h: set-user-ID, set-group-ID); of an open also the flags, since
# the mode counts only with O_CREAT or O_TMPFILE.
_SET_ID, _CREATES = 0o6000, 0o100 | 0o20000000
_MODES = {"creat": 1, "chmod": 1, "fchmod": 1, "mknod": 1, "mknodat": 2, "fchmodat": 2}
_OPENS = {"open": (1, 2), "openat": (2, 3)}


def program(machine: str) -> bytes | None:
    """Return the filter for a machine (``uname -m``) as BPF instructions, or ``None`` for an unknown machine."""
    if machine not in _ARCHITECTURES:
        return None
    audit, numbers = _ARCHITECTURES[machine]
    refused = ("add_key", "request_key", "keyctl", "perf_event_open", "bpf", "userfaultfd", "setns")
    code = [_step(_LOAD, _ARCH), _step(_EQUAL, audit, 1, 0), _refuse(errno.EPERM), _step(_LOAD, _NR)]
    if machine == "x86_64":
        code += [_step(_AT_LEAST, _X32, 0, 1), _refuse(errno.EPERM)]
    for name in refused:
        code += [_step(_EQUAL, numbers[name], 0, 1), _refuse(errno.EPERM)]
    # ENOSYS, as from an older kernel, makes libraries fall back to older calls.
    for number in (numbers["clone3"], *_IO_URING, _OPENAT2, _FCHMODAT2):
        code += [_step(_EQUAL, number, 0, 1), _refuse(errno.ENOSYS)]
    for name in ("clone", "unshare"):
        code += _case(numbers[name], 0, [_step(_ANY_BIT, _NEW_USER, 0, 1), _refuse(errno.EPERM)])
    set_id = [_step(_ANY_BIT, _SET_ID, 0, 1), _refuse(errno.EPERM)]
    for name in sorted(_MODES.keys() & numbers.keys()):
        code += _case(numbers[name], _MODES[name], set_id)
    for name in sorted(_OPENS.keys() & numbers.keys()):
        flags, mode = _OPENS[name]
        created = [_step(_LOAD, _ARGUMENT + 8 * mode), *set_id]
        code += _case(numbers[name], flags, [_step(_ANY_BIT, _CREATES, 0, len(created)), *created])
    terminal = [part for value in _TERMINAL_INPUT for part in (_step(_EQUAL, value, 0, 1), _refuse(errno.EPERM))]
    code += _case(numbers["ioctl"], 1, terminal)
    known = [_step(_EQUAL, family, len(_FAMILIES) - place, 0) for place, family in enumerate(_FAMILIES)]
    code += _case(numbers["socket"], 0, [*known, _refuse(errno.EAFNOSUPPORT)])
    code.append(_step(_RETURN, _ALLOW))
    return b"".join(code)


@functools.cache
def source() -> str | None:
    """Return a path to the filter of this machine, readable while this process lives, or ``None``.

    The filter is in sealed memory, so nobody can change it before it is read.
    """
    code = program(platform.machine())
    if code is None or not hasattr(os, "memfd_create"):
        return None
    handle = os.memfd_create("filter", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(handle, code)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return f"/proc/{os.getpid()}/fd/{handle}"


def _case(number: int, argument: int, then: list[bytes]) -> list[bytes]:
    """Return instructions that check one argument of one call; otherwise they continue with the call number loaded."""
    body = [_step(_LOAD, _ARGUMENT + 8 * argument), *then, _step(_LOAD, _NR)]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)
