"""A person intervenes in a running session: pause, take over, hand back, cancel, resume; by the real command line."""

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.instances import Instance, founded
from tests.servers import PATIENCE, ROOT, git, wait_for

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]

RECORDING = json.loads((ROOT / "factory/agents/recordings/greet-by-name.json").read_text())
PATCHES = [turn["patch"] for attempt in RECORDING["attempts"] for turn in attempt["turns"] if turn.get("patch")]

# An agent that writes one file and then works on until it is cancelled; resumed, it ends at once.
AGENT = """
import json, sys, threading
def send(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def say(text):
    chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send({"method": "session/update", "params": {"sessionId": "s", "update": chunk}})
stop, resumed, waiting = threading.Event(), False, None
def work(number):
    open("docs/agent-notes.md", "w").write("# Notes\\n\\nThe agent was here.\\n")
    while not stop.wait(0.1): say(".")
    send({"id": number, "result": {"stopReason": "cancelled"}})
for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "initialize":
        able = {"loadSession": True, "sessionCapabilities": {"resume": {}}}
        send({"id": number, "result": {"protocolVersion": 1, "agentCapabilities": able}})
    elif method == "session/new": send({"id": number, "result": {"sessionId": "my-session"}})
    elif method in ("session/load", "session/resume"):
        resumed = message["params"]["sessionId"] == "my-session"
        send({"id": number, "result": {}})
    elif method == "session/cancel": stop.set()
    elif method == "session/prompt":
        if resumed:
            open("docs/agent-notes.md", "w").write("# Notes\\n\\nResumed.\\n")
            send({"id": number, "result": {"stopReason": "end_turn"}})
        else: threading.Thread(target=work, args=(number,), daemon=True).start()
"""
# An agent with an interface of its own: it shows which terminal it has, and does what it is told there.
TERMINAL = """
stty size; tty; echo "what shall I do?"; read answer
[ "$answer" = "greet by name" ] && for patch in docs/patches/*; do git apply --recount "$patch"; done
factory output comment "I was told: $answer" --why "so that it is known"
echo "done"
"""
POLICY = """
  slow:
    protocol: acp
    command: [python3, docs/slow_agent.py]
    terminal: [sh, docs/terminal_agent.sh]
    version: "1"
    capabilities: [edit, resume, cancel]
    sandbox: host
    egress: []
    limits:
      {turns: 9, turn_seconds: 120, silence_seconds: 60, output_bytes: 9000000, tokens: 99999, usd: 1,
       memory_bytes: 900000000, processes: 64, file_bytes: 9000000}
"""
POLICY += (
    POLICY.replace("slow:", "killed:")
    .replace("acp", "command")
    .replace("resume, ", "")
    .replace("[python3, docs/slow_agent.py]", "[sh, -c, kill -9 $$]")
    .replace("    terminal: [sh, docs/terminal_agent.sh]\n", "")
)


def with_a_slow_agent(clone: Path) -> None:
    (clone / "docs/patches").mkdir(parents=True)
    (clone / "docs/slow_agent.py").write_text(AGENT)
    (clone / "docs/terminal_agent.sh").write_text(TERMINAL)
    for number, patch in enumerate(PATCHES):
        (clone / f"docs/patches/{number}.patch").write_text(patch)
    agents = clone / "policies/agents.yml"
    agents.write_text(agents.read_text().replace("default: replay", "default: slow") + POLICY)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = founded(tmp_path_factory.mktemp("session"), change=with_a_slow_agent)
    yield instance
    instance.run("down", check=False)


class Worker:
    """`factory work` on one issue, in the background, with its agent at work."""

    def __init__(self, made: Instance) -> None:
        self.issue = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
        before = set(made.folder().glob("sessions/*"))
        argv = [sys.executable, "-P", "-m", "factory", "work", "--once", "--issue", self.issue]
        self.process = subprocess.Popen(
            argv, cwd=made.clone, env=made.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.folder = wait_for(lambda: next(iter(set(made.folder().glob("sessions/*")) - before), None))
        wait_for((self.folder / "worktree/docs/agent-notes.md").exists)
        self.session = self.folder.name

    def ended(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


def states(folder: Path) -> set[str]:
    """Return the states of the agent's processes in a session's worktree (proc(5): T is stopped)."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = (entry / "cmdline").read_bytes().startswith(b"python3\0docs/slow_agent.py")
            if ours and str(folder) in str((entry / "cwd").readlink()):
                found.add((entry / "stat").read_text().rsplit(")", 1)[1].split()[0])
        except OSError:
            continue
    return found


def test_take_over_and_hand_back(made: Instance) -> None:
    worker = Worker(made)
    made.run("session", "pause", worker.session)
    wait_for(lambda: states(worker.folder) == {"T"})
    made.run("session", "resume", worker.session)
    wait_for(lambda: "T" not in states(worker.folder))
    assert "paused" in made.run("session", "logs", worker.session).stdout
    assert "worktree" in made.run("session", "takeover", worker.session).stdout
    code, said = worker.ended()
    assert code == 14, said
    assert "hand-back" in said
    assert states(worker.folder) == set()
    listed = {item["session"]: item["state"] for item in made.json("session", "list")}
    assert listed[worker.session] == "taken over"
    assert "held by another session" in made.run("work", "--once", "--issue", worker.issue).stdout
    for patch in PATCHES:
        subprocess.run(
            ["git", "apply", "--recount", "-"], cwd=worker.folder / "worktree", input=patch.encode(), check=True
        )
    handed = made.json("session", "hand-back", worker.session, "--done")["handover"]
    assert handed["by"]
    assert handed["added"] > 10
    done = made.run("work", "--once", "--issue", worker.issue)
    assert "is ready for review" in done.stderr, done.stderr
    check_who_wrote_what(made, worker, handed)


def check_who_wrote_what(made: Instance, worker: Worker, handed: dict[str, Any]) -> None:
    log = git("log", "--format=%an", f"{handed['base']}^..{handed['head']}", cwd=worker.folder / "worktree").stdout
    assert log.split("\n")[:2] == [handed["by"], "factory-agent"]
    keys = [item["key"] for item in made.json("evidence", "list") if item["kind"] == "handover"]
    assert [key for key in keys if key.startswith(f"handover/{worker.issue}/")] == [
        f"handover/{worker.issue}/{worker.session}/{handed['head'][:12]}"
    ]
    shown = made.run("session", "show", worker.session).stdout
    assert "superseded" in shown
    assert handed["by"] in shown


@pytest.mark.long
def test_hand_back_tells_the_agent_what_changed(made: Instance) -> None:
    worker = Worker(made)
    made.run("session", "takeover", worker.session)
    assert worker.ended()[0] == 14
    (worker.folder / "worktree/docs/agent-notes.md").write_text("# Notes\n\nA person was here.\n")
    made.run("session", "hand-back", worker.session)
    again = subprocess.Popen(
        [sys.executable, "-P", "-m", "factory", "work", "--once", "--issue", worker.issue],
        cwd=made.clone, env=made.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    brief = worker.folder / "attempt-2/brief.md"
    wait_for(brief.exists)
    assert "+A person was here." in brief.read_text()
    again.kill()
    again.wait(60)


@pytest.mark.long
def test_a_cancelled_session_is_resumed_where_its_agent_left_it(made: Instance) -> None:
    worker = Worker(made)
    made.run("session", "cancel", worker.session)
    code, said = worker.ended()
    assert code == 14, said
    assert "cancel by operator" in said
    assert "factory::blocked" in made.run("issue", "show", worker.issue).stdout
    made.run("session", "resume", worker.session)
    done = made.run("work", "--once", "--issue", worker.issue, check=False)
    assert f"#{worker.issue} is claimed as session {worker.session}" in done.stderr
    assert (worker.folder / "attempt-1-ended-1/transcript.jsonl.gz").exists()
    assert json.loads((worker.folder / "attempt-1/turn.json").read_text())["reason"] == "done_for_review"
    assert "Resumed." in committed(worker)


def committed(worker: Worker) -> str:
    """Return the diff of the first attempt's commit."""
    head = json.loads((worker.folder / "attempt-1/turn.json").read_text())["head"]
    return git("show", "--format=", head, cwd=worker.folder / "worktree").stdout


@pytest.mark.long
def test_the_agents_session_goes_on_after_a_crash_of_the_factory(made: Instance) -> None:
    worker = Worker(made)
    worker.process.kill()
    worker.ended()
    wait_for(lambda: states(worker.folder) == set())
    made.run("work", "--once", "--issue", worker.issue, check=False)
    assert (worker.folder / "attempt-1-lost-1/transcript.jsonl.gz").exists()
    assert "## You were interrupted" in (worker.folder / "attempt-1/brief.md").read_text()
    assert "Resumed." in committed(worker)


def test_an_agent_that_is_killed_works_again_in_the_same_attempt(made: Instance) -> None:
    worker = Worker(made)
    (agent,) = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.read_bytes().startswith(b"python3\0docs/slow_agent.py")
        and worker.session in str((path.parent / "cwd").readlink())
    ]
    os.kill(agent, signal.SIGKILL)
    assert "was killed (the agent ended with 137); it works again" in worker.ended()[1]
    assert (worker.folder / "attempt-1-lost-1/transcript.jsonl.gz").exists()
    assert "Resumed." in committed(worker)
    assert not (worker.folder / "attempt-2").exists()


def test_an_agent_that_is_always_killed_is_given_up(made: Instance) -> None:
    issue = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    done = made.run("work", "--once", "--issue", issue, "--agent", "killed", check=False)
    assert done.returncode == 11, done.stderr
    assert done.stderr.count("it works again") == 3 * done.stderr.count(": killed works (") / 4 > 0
    assert f"factory issue retry {issue}" in made.run("issue", "show", issue).stdout
    made.run("issue", "retry", issue)
    assert "factory::ready" in made.run("issue", "show", issue).stdout
    again = made.run("issue", "retry", issue, check=False)
    assert (again.returncode, "is not blocked" in again.stderr) == (5, True)
    again = made.run("work", "--once", "--issue", issue, "--agent", "killed", check=False)
    claimed = [re.findall(f"#{issue} is claimed as session (.*)", item.stderr)[0] for item in (done, again)]
    assert claimed[0] != claimed[1]


@pytest.mark.long
def test_a_person_works_with_the_agent_in_its_own_interface(made: Instance) -> None:
    issue = str(made.json("issue", "new", "Greet a visitor by name", "--spec", "hello")["iid"])
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    before = termios.tcgetattr(theirs)
    argv = [sys.executable, "-P", "-m", "factory", "work", "--once", "--interactive", "--issue", issue]
    running = subprocess.Popen(
        argv,
        cwd=made.clone,
        env=made.env(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    shown = ""
    while "what shall I do?" not in shown:
        shown += os.read(ours, 65536).decode()
    os.write(ours, b"greet by name\r")
    while running.poll() is None:
        if select.select([ours], [], [], 0.2)[0]:
            shown += os.read(ours, 65536).decode()
    assert running.returncode == 0, shown
    assert "33 111" in shown
    assert os.ttyname(theirs) not in shown, "the agent has a terminal of its own"
    assert "is ready for review" in shown
    assert termios.tcgetattr(theirs) == before, "the person's terminal is as it was"
    session = next(item["session"] for item in made.json("session", "list") if str(item["issue"]) == issue)
    events = [json.loads(line) for line in made.run("session", "logs", session, "--json").stdout.splitlines()]
    assert "what shall I do?" in "".join(event["text"] for event in events if event["event"] == "screen")
    assert "I was told: greet by name" in made.run("issue", "show", issue).stdout
    assert made.run("session", "pause", session, check=False).returncode == 3, "nobody works there any more"
    assert made.run("session", "hand-back", session, check=False).returncode == 7
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_it_works_headless(made: Instance) -> None:
    done = made.run("work", "--once", "--interactive", "--issue", "99", check=False, TERM="xterm")
    assert "working without it" in done.stderr


def test_an_unknown_session_is_refused(made: Instance) -> None:
    assert made.run("session", "pause", "nothere", check=False).returncode == 4
