"""The escape suite: tricks of a hostile program behind the launch door, as an agent and as a merge request's test.

Each row is tried by ``attack.py`` and must get nothing. The same row, outside of the sandbox, is the control that shows
that the trick would work.
"""

import ctypes
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import FactoryError
from factory.local_gitlab.runner import executor
from factory.sandbox import egress, launch
from factory.sandbox.launch import Launch, Level
from factory.sandbox.limits import WATCHED, Limits
from factory.system import process
from factory.worktrees import worktree
from factory.worktrees.repository import Author, Mirror
from tests.sandbox import attack
from tests.servers import PATIENCE, TOOL_ENV, TOOL_PATH, git, running_gitlab, wait_for

pytestmark = pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")

LIMITS = Limits(memory_bytes=96 * 2**20, processes=60, file_bytes=2**24, open_files=256, cpu_seconds=1)
FROZEN = (".git", "policies", "AGENTS.md", "CLAUDE.md", ".claude", ".codex", ".mcp.json", "docs/rules/frozen.md")
FILES = {"policies/gates.yml": "gates: {}\n", "AGENTS.md": "rules\n", "docs/rules/frozen.md": "frozen\n", "src": "1\n"}

# What concerns a worktree and its frozen paths alone, or the proxy that only agents have.
AGENT_ALONE = {
    name for name in attack.ROWS if name.startswith(("policy", "frozen", "missing", "git_file", "proxy"))
} | {
    "own_brief",
    "target_of_a_frozen_link",
    "parent_of_a_frozen_path_renamed",
    "unmount",
}
MERGE_REQUEST = [name for name in attack.ROWS if name not in AGENT_ALONE]
# Tricks that cannot be shown outside: they would change the machine, or need what only some machines have.
NO_CONTROL = {
    "own_environment",
    "internet",
    "machine_socket",
    "remount",
    "new_mount",
    "unmount",
    "make_device",
    "magic_request",
    "kernel_settings",
    "kernel_program",
    "ring_of_requests",
    "other_calling_convention",
    "terminal_input",
    "open_descriptors",
    "much_memory",
    "memory_in_files",
    "many_processes",
    "much_time",
    "secret_through_proc",
    "key_of_the_host",
    "new_key",
    "mode_of_a_device",
    "missing_name_removed_first",
} | {name for name in attack.ROWS if name.startswith("proxy")}
NEED_CGROUPS = {"much_memory": "memory_bytes", "memory_in_files": "memory_bytes", "many_processes": "processes"}


@contextmanager
def services(folder: Path) -> Iterator[dict[str, Any]]:
    """Run what a hostile program would like to reach: services of the host, and a process that holds a secret."""
    secret = f"planted-{secrets.token_hex(8)}"
    tcp, unix, abstract = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name = f"escape-{secrets.token_hex(4)}"
    tcp.bind(("127.0.0.1", 0))
    udp.bind(("127.0.0.1", 0))
    unix.bind(str(folder / "s"))
    abstract.bind("\0" + name)
    ended = threading.Event()

    def greet(listener: socket.socket) -> None:
        listener.settimeout(0.1)
        while not ended.is_set():
            with suppress(TimeoutError):
                there, _ = listener.accept()
                there.sendall(b"hello")
                there.close()

    def echo() -> None:
        udp.settimeout(0.1)
        while not ended.is_set():
            with suppress(TimeoutError):
                data, sender = udp.recvfrom(100)
                udp.sendto(data, sender)

    for listener in (tcp, unix, abstract):
        listener.listen()
    threads = [threading.Thread(target=greet, args=(item,)) for item in (tcp, unix, abstract)]
    threads.append(threading.Thread(target=echo))
    for thread in threads:
        thread.start()
    bystander = subprocess.Popen(["/bin/sleep", "300"], env={"SECRET": secret})
    try:
        yield {
            "secret": secret,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(folder / "s"),
            "abstract": name,
            "bystander": bystander.pid,
            "shared": name,
            "key": plant_key(name),
        }
    finally:
        ended.set()
        bystander.kill()
        bystander.wait()
        for thread in threads:
            thread.join()
        for end in (tcp, udp, unix, abstract):
            end.close()
        (Path("/dev/shm") / name).unlink(missing_ok=True)


def plant_key(name: str) -> str:
    """Put a key into this process's session keyring, where programs that it starts find it."""
    number = 248 if attack.X86 else 217
    ctypes.CDLL(None).syscall(number, b"user", name.encode(), b"secret", ctypes.c_size_t(6), -3)
    return name


def laid_out(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Make what an agent has around it: a worktree of a bare repository, a brief, a state folder with a secret."""
    home, state, source = folder / "home", folder / "state", folder / "source"
    for made in (home, state, source):
        made.mkdir()
    (home / "credentials").write_text(facts["secret"])
    (state / "key").write_text(facts["secret"])
    (state / "brief.md").write_text("do this\n")
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "CLAUDE.md").symlink_to("AGENTS.md")
    git("init", "--quiet", "--initial-branch=main", cwd=source)
    git("add", "--all", cwd=source)
    git("commit", "--quiet", "--message", "start", cwd=source)
    git("clone", "--quiet", "--bare", str(source), str(state / "mirror.git"), cwd=folder)
    mirror = Mirror(state / "mirror.git", str(source))
    work = state / "work"
    worktree.prepare(mirror, work, commit=git("rev-parse", "HEAD", cwd=source).stdout.strip())
    shutil.copy(attack.__file__, folder / "attack.py")
    return facts | {
        "home": str(home),
        "home_secret": str(home / "credentials"),
        "state": str(state),
        "state_secret": str(state / "key"),
        "brief": str(state / "brief.md"),
        "work": str(work),
        "mirror": str(mirror.path),
        "git_dir": str(worktree.git_dir(work)),
        "heartbeat": str(work / "heartbeat"),
        "processes": LIMITS.processes,
        "memory": LIMITS.memory_bytes,
        "file": LIMITS.file_bytes,
        "files": LIMITS.open_files,
        "cpu": LIMITS.cpu_seconds,
        "proxy": launch.EGRESS_PORT,
    }


def behind_the_door(folder: Path, facts: dict[str, Any]) -> tuple[dict[str, Any], launch.PreparedLaunch]:
    """Run the hostile program as an agent gets started; return what it got, and how it was held."""
    work, state = Path(facts["work"]), Path(facts["state"])
    (folder / "facts.json").write_text(json.dumps({**facts, "rows": list(attack.ROWS)}))
    seen: list[Any] = []
    routes = {"model": egress.Route("http://127.0.0.1:1", {"Authorization": facts["secret"]})}
    with egress.serve(folder / "egress" / "proxy", egress.Rules(routes=routes), record=seen.append):
        prepared = launch.prepare(
            Launch(
                argv=("python3", str(folder / "attack.py"), str(folder / "facts.json")),
                cwd=work,
                env={"PATH": TOOL_PATH, "HOME": str(work), "PYTHONDONTWRITEBYTECODE": "1"},
                writable=(work,),
                readable=(
                    Path(sys.prefix),
                    Path(sys.base_prefix),
                    folder / "attack.py",
                    folder / "facts.json",
                    state / "mirror.git",
                    state / "brief.md",
                ),
                frozen=tuple(work / name for name in FROZEN),
                required=Level.BWRAP,
                limits=LIMITS,
                egress=folder / "egress" / "proxy",
            )
        )
        done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.errors
    assert len(seen) == sum(name.startswith("proxy") for name in attack.ROWS)
    assert not any(event["allowed"] for event in seen)
    return json.loads(done.text), prepared


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give what a hostile agent got, and what is left of its surroundings."""
    folder = tmp_path_factory.mktemp("agent")
    with services(folder) as around:
        facts = laid_out(folder, around)
        got, prepared = behind_the_door(folder, facts)
        yield {"facts": facts, "got": got, "prepared": prepared, "folder": folder}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Give what the same program gets without a sandbox, in surroundings of its own."""
    folder = tmp_path_factory.mktemp("outside")
    with services(folder) as around:
        facts = laid_out(folder, around)
        rows = [name for name in attack.ROWS if name not in NO_CONTROL and name != "outlives_its_session"]
        got: dict[str, Any] = {}
        for name in rows:
            shutil.rmtree(folder / "copy", ignore_errors=True)
            shutil.copytree(facts["work"], folder / "copy", symlinks=True)
            (folder / "facts.json").write_text(json.dumps({**facts, "rows": [name]}))
            argv = [sys.executable, str(folder / "attack.py"), str(folder / "facts.json")]
            done = subprocess.run(argv, cwd=folder / "copy", env=TOOL_ENV, capture_output=True, check=True)
            got |= json.loads(done.stdout)
        yield got


@pytest.mark.parametrize("name", attack.ROWS)
def test_agent(agent: dict[str, Any], name: str) -> None:
    if agent["prepared"].limits.get(NEED_CGROUPS.get(name, "")) == WATCHED:
        pytest.skip("this machine has no control groups for us")
    got = agent["got"][name]
    if name == "outlives_its_session":
        assert got["got"], got
        heartbeat = Path(agent["facts"]["heartbeat"])
        before = heartbeat.read_text()
        time.sleep(0.2)
        assert heartbeat.read_text() == before
    elif name == "shared_memory":
        assert not (Path("/dev/shm") / agent["facts"]["shared"]).exists()
    else:
        assert not got["got"], got["saw"]


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in attack.ROWS if name not in NO_CONTROL | {"outlives_its_session"}])
def test_the_trick_works_outside(outside: dict[str, Any], name: str) -> None:
    needs_root = {"mount_namespace", "change_root", "packet_socket"}
    if name in needs_root and os.geteuid() != 0:
        pytest.skip("needs root")
    assert outside[name]["got"], outside[name]["saw"]


def test_what_was_frozen_is_as_it_was(agent: dict[str, Any]) -> None:
    work = Path(agent["facts"]["work"])
    assert not (work / ".claude").is_dir()
    launch.put_back(agent["prepared"])
    assert {name: (work / name).read_text() for name in FILES} == FILES
    assert (work / "CLAUDE.md").readlink() == Path("AGENTS.md")
    assert sorted(path.name for path in (work / "policies").iterdir()) == ["gates.yml"]
    for name in (".claude", ".codex", ".mcp.json"):
        assert not os.path.lexists(work / name)
    for folder in agent["prepared"].groups.folders:
        assert not folder.exists()
    assert not set(worktree.changed_paths(work)) & {"CLAUDE.md", ".mcp.json", ".claude", ".codex", *FILES}
    assert Path(agent["facts"]["brief"]).read_text() == "do this\n"


def test_a_stub_that_was_left_behind_is_not_committed(tmp_path: Path) -> None:
    with services(tmp_path) as around:
        facts = laid_out(tmp_path, around)
    work = Path(facts["work"])
    prepared = launch.prepare(
        Launch(("true",), work, {"PATH": TOOL_PATH}, writable=(work,), frozen=(work / ".mcp.json", work / "AGENTS.md"))
    )
    process.run(prepared.argv, cwd=work, env=prepared.env)
    assert (work / ".mcp.json").is_socket()
    assert worktree.changed_paths(work) == []
    source = tmp_path / "source"
    (source / ".mcp.json").write_text("{}")
    git("add", "--all", cwd=source)
    git("commit", "--quiet", "--message", "more", cwd=source)
    git("push", "--quiet", facts["mirror"], "HEAD:refs/heads/more", cwd=source)
    worktree.prepare(
        Mirror(Path(facts["mirror"]), ""), work, commit=git("rev-parse", "HEAD", cwd=source).stdout.strip()
    )
    assert (work / ".mcp.json").read_text() == "{}"


PLANTED = """
set -e
mkdir -p .githooks sub
printf '#!/bin/sh\\necho ran > %s\\n' "$MARKER" > .githooks/pre-commit
chmod +x .githooks/pre-commit
cp .githooks/pre-commit .githooks/filter
printf '* filter=evil diff=evil merge=evil\\n' > .gitattributes
printf '[filter "evil"]\\n clean = ./.githooks/filter\\n[core]\\n fsmonitor = ./.githooks/filter\\n' > .gitconfig
printf '[submodule "x"]\\n path = sub\\n url = ext::sh -c ./.githooks/filter\\n' > .gitmodules
printf ' update = !./.githooks/filter\\n' >> .gitmodules
git config core.hooksPath .githooks && exit 1
git config --worktree core.fsmonitor ./.githooks/filter && exit 1
git config include.path ../.gitconfig && exit 1
true
"""


def planted(tmp_path: Path, script: str) -> tuple[Path, Path]:
    """Run a script as an agent; return the worktree, and the file that exists if something of it was run later."""
    with services(tmp_path) as around:
        facts = laid_out(tmp_path, around)
    work, marker = Path(facts["work"]), tmp_path / "marker"
    prepared = launch.prepare(
        Launch(
            ("sh", "-c", script),
            work,
            {**TOOL_ENV, "HOME": str(work), "MARKER": str(marker)},
            writable=(work,),
            readable=(Path(facts["mirror"]),),
            frozen=tuple(work / name for name in FROZEN),
        )
    )
    done = process.run(prepared.argv, cwd=work, env=prepared.env, check=False)
    assert done.returncode == 0, done.errors
    launch.put_back(prepared)
    return work, marker


def test_git_runs_nothing_that_an_agent_planted(tmp_path: Path) -> None:
    work, marker = planted(tmp_path, PLANTED)
    worktree.commit_all(work, message="work\n", author=Author("a", "a@localhost"))
    assert not marker.exists()
    assert worktree.changed_paths(work) == []


@pytest.mark.parametrize(
    "script",
    [
        "mkdir nested && cd nested && git init -q . && git config core.fsmonitor 'touch $MARKER'",
        "mkdir -p bare/objects bare/refs && echo 'ref: refs/heads/x' > bare/HEAD",
        "mkdir nested && echo 'gitdir: /tmp' > nested/.GIT",
        "mkdir -p deep/er && ln -s /etc deep/er/.git",
    ],
)
def test_a_repository_inside_the_worktree_is_refused(tmp_path: Path, script: str) -> None:
    work, marker = planted(tmp_path, script)
    with pytest.raises(FactoryError):
        worktree.commit_all(work, message="work\n", author=Author("a", "a@localhost"))
    assert not marker.exists()


DEFINITION = """
workflow: {rules: [{when: always}]}
job:
  script: ['python3 attack.py "facts.json"']
"""


@pytest.fixture(scope="module")
def merge_request(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what the hostile program got as a test in a merge request's pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    ended = threading.Event()
    (folder / "gitlab").mkdir()
    with services(folder) as around, running_gitlab(folder / "gitlab", concurrency=0) as server:
        facts = laid_out(folder, around)
        made: Any = server.client().http_post("/user/runners", post_data={"runner_type": "instance_type"})
        settings = executor.Settings(
            url=server.url,
            tokens=(made["token"],),
            builds=folder / "gitlab" / "builds",
            env=TOOL_ENV,
            readable=(Path(sys.prefix), Path(sys.base_prefix)),
            concurrency=1,
            limits=replace(LIMITS, processes=100),
        )
        worker = threading.Thread(target=executor.run, args=(settings, ended), daemon=True)
        worker.start()
        try:
            project = server.project({".gitlab-ci.yml": DEFINITION, "attack.py": Path(attack.__file__).read_text()})
            bare = next(path for path in (folder / "gitlab").rglob("HEAD") if (path.parent / "objects").is_dir()).parent
            told = {
                **facts,
                "tcp": int(server.url.rsplit(":", 1)[1]),
                "state_secret": str(folder / "gitlab/root-token"),
            }
            told |= {"mirror": str(bare), "git_dir": str(bare), "heartbeat": "heartbeat", "processes": 100}
            told["rows"] = MERGE_REQUEST
            change = [{"action": "create", "file_path": "facts.json", "content": json.dumps(told)}]
            project.commits.create({"branch": "x", "start_branch": "main", "commit_message": "m", "actions": change})
            request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
            over = {"success", "failed"}
            pipeline = wait_for(lambda: [p for p in request.pipelines.list(get_all=True) if p.status in over])[0]
            (job,) = project.pipelines.get(pipeline.id).jobs.list(get_all=True)
            trace = project.jobs.get(job.id).trace().decode()
        finally:
            ended.set()
            worker.join(60)
    lines = [line for line in trace.splitlines() if line.startswith('{"')]
    assert lines, trace
    return {"got": json.loads(lines[0]), "facts": facts, "trace": trace, "folder": folder}


def left_in(folder: Path) -> Iterator[int]:
    """Yield the processes that work in the folder; other workers run the same program elsewhere."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink().is_relative_to(folder):
                yield int(link.parent.name)


@pytest.mark.long
@pytest.mark.parametrize("name", MERGE_REQUEST)
def test_merge_request(merge_request: dict[str, Any], agent: dict[str, Any], name: str) -> None:
    if agent["prepared"].limits.get(NEED_CGROUPS.get(name, "")) == WATCHED:
        pytest.skip("this machine has no control groups for us")
    got = merge_request["got"][name]
    if name == "outlives_its_session":
        assert got["got"], got
        assert not list(left_in(merge_request["folder"]))
    elif name == "shared_memory":
        assert not (Path("/dev/shm") / merge_request["facts"]["shared"]).exists()
    else:
        assert not got["got"], got["saw"]
