"""Real Codex and Claude Code on a plan's login, by the real command line: a stub stands in for the plan's service."""

import gzip
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from factory.local_model import script
from factory.local_model.server import Server, running
from tests.instances import Instance, founded
from tests.secrets.test_codex_login import jwt, kept, login
from tests.servers import ROOT, wait_for

pytestmark = [
    pytest.mark.long,
    pytest.mark.matrix(4, group="flows"),
    pytest.mark.skipif(
        not (ROOT / ".tools/agents/bin/codex-acp").exists() or shutil.which("bwrap") is None,
        reason="needs bubblewrap and the coding agents: `factory setup --agents`",
    ),
]

TOKEN = "sk-ant-oat01-planted-long-lived-token-of-a-plan"
REFUSED_PATHS = ("accounts/check", "settings/user", "/ps/", "plugins", "analytics")
LOOK = "env | sort; cat /proc/*/environ | tr '\\0' '\\n'; cat ~/.codex/auth.json ~/.claude/settings.json"
LARGEST = 256 * 2**20


@dataclass
class Model:
    """What the stub says next; ``refuses`` makes it answer 401."""

    waits: float = 0.0
    refuses: Callable[[], bool] = lambda: False
    times: list[tuple[str, float]] = field(default_factory=list)

    def steps(self, prompt: str) -> Sequence[script.Step]:
        """Return a look around, a pause in which the test looks at memory, and the end of the session."""
        self.times.append(("late" if "Greet a visitor late" in prompt else "early", time.monotonic()))
        if self.refuses():
            return [script.Fail(401, "authentication_error")]
        blocked = script.Call("blocked", {"why": "the test ends the session after one attempt"})
        return [script.Run(LOOK), script.Hang(self.waits), blocked, script.Say("Done.")]


@dataclass
class Renewals:
    """The endpoint at which Codex renews its login: the new access token, and what it was asked."""

    url: str
    access: str = ""
    asked: list[Any] = field(default_factory=list)


@dataclass
class Seen:
    """The agent's processes that were looked at, and where a text was found in them."""

    pids: set[int] = field(default_factory=set)
    bytes: int = 0
    found: set[str] = field(default_factory=set)
    control: bool = False


MODEL = Model()


@pytest.fixture(scope="module")
def stub() -> Iterator[Server]:
    with running(MODEL.steps) as server:
        yield server


@pytest.fixture(autouse=True)
def same_model() -> None:
    MODEL.waits, MODEL.refuses = 0.0, lambda: False
    MODEL.times.clear()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, stub: Server) -> Iterator[Instance]:
    def on_a_plan(clone: Path) -> None:
        agents = clone / "policies/agents.yml"
        text = agents.read_text().replace("default: replay", "default: codex")
        for before, after in (
            (
                'url: "https://api.openai.com/v1", key: OPENAI_API_KEY',
                f'url: "{stub.url}/backend-api/codex", login: subscription',
            ),
            ('url: "https://api.anthropic.com", key: ANTHROPIC_API_KEY', f'url: "{stub.url}", login: subscription'),
            # Codex keeps a name: it offers its own default model tools that the stub does not know.
            ("name: claude-sonnet-4-5, ", ""),
            ("instead: claude\n", "\n"),
            ("instead: codex\n", "\n"),
        ):
            assert before in text
            text = text.replace(before, after, 1)
        agents.write_text(text)

    instance = founded(tmp_path_factory.mktemp("subscription"), change=on_a_plan)
    yield instance
    instance.run("down", check=False)


@pytest.fixture
def renewals() -> Iterator[Renewals]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append(json.loads(body))
            answer = {"id_token": claims("id"), "access_token": found.access, "refresh_token": "renewed-refresh-token"}
            data = json.dumps(answer if found.access else {"error": {"code": "refresh_token_expired"}}).encode()
            self.send_response(200 if found.access else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Renewals(f"http://127.0.0.1:{server.server_port}/oauth/token")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def claims(name: str, *, seconds: int = 10**6) -> str:
    account = {"chatgpt_account_id": "account-of-a-person", "chatgpt_plan_type": "plus"}
    until = int(time.time()) + seconds
    return jwt({"jti": name, "email": "a@b.c", "exp": until, "https://api.openai.com/auth": account})


def logged_in(folder: Path, access: str) -> dict[str, str]:
    """Write a login to a folder; return the environment of a person who has it."""
    content = json.loads(
        login(
            access_token=access,
            id_token=claims("id"),
            refresh_token="old-refresh-token",
            account_id="account-of-a-person",
        )
    )
    content["last_refresh"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kept(folder, json.dumps(content).encode())
    return {"CODEX_HOME": str(folder), "NO_PROXY": "127.0.0.1", "HTTPS_PROXY": "http://127.0.0.1:9"}


def issue(made: Instance, title: str = "Greet a visitor by name") -> str:
    return str(made.json("issue", "new", title, "--spec", "hello")["iid"])


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def looking(secrets: Sequence[str], control: str) -> Iterator[Seen]:
    """Look for secrets in all processes of agents while the block runs; ``control`` must be found in their memory."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.wait(0.3):
            for entry in Path("/proc").glob("[0-9]*"):
                with suppress(OSError, ValueError):
                    environ = (entry / "environ").read_bytes()
                    if b"/home-c" in environ and int(entry.name) != os.getpid():
                        _look(entry, environ, [text.encode() for text in secrets], control.encode(), seen)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _look(entry: Path, environ: bytes, secrets: Sequence[bytes], control: bytes, seen: Seen) -> None:
    seen.pids.add(int(entry.name))
    argv = (entry / "cmdline").read_bytes()
    for place, data in (("environ", environ), ("cmdline", argv), *_memory(entry)):
        seen.bytes += len(data)
        seen.control = seen.control or (control in data and place not in {"environ", "cmdline"})
        seen.found |= {f"{entry.name} {place}" for secret in secrets if secret in data}


def _memory(entry: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the writable memory of a process: what it keeps; a region that is gone is left out."""
    with (entry / "mem").open("rb", buffering=0) as memory:
        for line in (entry / "maps").read_text().splitlines():
            span, mode, *_ = line.split()
            first, last = (int(part, 16) for part in span.split("-"))
            if mode.startswith("rw") and last - first <= LARGEST:
                with suppress(OSError, ValueError, OverflowError):
                    memory.seek(first)
                    yield span, memory.read(last - first)


def check_files(made: Instance, secrets: Sequence[str]) -> int:
    """Look for secrets in everything that was left: homes, worktrees, transcripts, logs, evidence; return how much."""
    looked = 0
    for path in made.state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            data = gzip.decompress(data) if path.suffix == ".gz" else data
            looked += 1
            assert not [secret for secret in secrets if secret.encode() in data], path
    return looked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["codex", "claude"])
def test_the_login_reaches_the_service_and_nothing_behind_the_door(
    made: Instance, stub: Server, tmp_path: Path, name: str
) -> None:
    access = claims("the-access-token")
    env = {**logged_in(tmp_path, access), "CLAUDE_CODE_OAUTH_TOKEN": TOKEN}
    bearer = access if name == "codex" else TOKEN
    secrets = [bearer, "old-refresh-token", "account-of-a-person"] if name == "codex" else [TOKEN]
    MODEL.waits = 6.0
    number, before = issue(made), len(stub.requests)
    with looking(secrets, control="Greet a visitor by name") as seen:
        worked = made.run("work", "--once", "--issue", number, "--agent", name, check=False, **env)
    assert f"attempt 1: {name} works (a person named it; sandbox level bwrap)" in worked.stderr, worked.stderr
    asked = list(stub.requests)[before:]
    assert {request.credential for request in asked} == {fingerprint(f"Bearer {bearer}")}
    assert not [request.path for request in asked if any(part in request.path for part in REFUSED_PATHS)]
    if name == "codex":
        assert {request.headers["chatgpt-account-id"] for request in asked} == {"account-of-a-person"}
        shown = made.run("budget", "show", number).stdout
        assert "codex · 5 h: 62 %, resets " in shown
        assert "USD of codex by the list, not billed: a plan" in shown
        assert "price of 2025-10, older than policy allows (400 days): codex" in shown
    else:
        assert all("oauth-2025-04-20" in item.headers["anthropic-beta"] for item in asked if item.tools)
    assert seen.found == set()
    assert seen.control, "the search does find what is there"
    assert len(seen.pids) >= 3
    assert seen.bytes > 10**8
    assert check_files(made, secrets) > 100
    bodies = json.dumps([dict(request.body) for request in asked])
    assert "FACTORY_OUTPUTS" in bodies, "the agent's command did print its environment"
    assert not [secret for secret in secrets if secret in bodies + worked.stdout + worked.stderr]
    (kept_result,) = [
        json.loads(path.read_text())
        for path in made.folder().glob("sessions/*/attempt-1/turn.json")
        if json.loads(path.read_text())["agent"]["name"] == name
    ]
    assert kept_result["agent"]["model"] == ("gpt-5-codex" if name == "codex" else "the agent's default")
    assert (kept_result["reason"], kept_result["cost"]["billed"]) == ("blocked", False)


@pytest.mark.slow
@pytest.mark.parametrize("why", ["expires", "refused"])
def test_codex_itself_renews_a_login_that_expires_or_is_refused(
    made: Instance, stub: Server, tmp_path: Path, renewals: Renewals, why: str
) -> None:
    old = claims("old-access", seconds=60 if why == "expires" else 10**6)
    renewals.access = claims("new-access", seconds=2 * 10**6)
    env = {**logged_in(tmp_path, old), "CODEX_REFRESH_TOKEN_URL_OVERRIDE": renewals.url}
    MODEL.refuses = lambda: not renewals.asked
    number, before = issue(made), len(stub.requests)
    worked = made.run("work", "--once", "--issue", number, check=False, **env)
    assert "Codex renewed its login" in worked.stderr, worked.stderr
    assert {item["refresh_token"] for item in renewals.asked} <= {"old-refresh-token", "renewed-refresh-token"}
    used = [request.credential for request in list(stub.requests)[before:]]
    assert used[-1] == fingerprint(f"Bearer {renewals.access}")
    assert (fingerprint(f"Bearer {old}") in used) is (why == "refused")
    assert json.loads((tmp_path / "auth.json").read_text())["tokens"]["access_token"] == renewals.access
    results = sorted(made.folder().glob("sessions/*/attempt-1/turn.json"), key=lambda path: path.stat().st_mtime)
    assert json.loads(results[-1].read_text())["reason"] == "blocked"
    check_files(made, [old, renewals.access, "old-refresh-token", "renewed-refresh-token"])


def test_a_login_that_cannot_be_renewed_ends_as_auth_failed(made: Instance, tmp_path: Path, renewals: Renewals) -> None:
    env = {**logged_in(tmp_path, claims("old", seconds=60)), "CODEX_REFRESH_TOKEN_URL_OVERRIDE": renewals.url}
    failed = made.run("work", "--once", "--issue", issue(made), check=False, **env)
    assert failed.returncode != 0
    assert "auth_failed" in failed.stderr
    assert "codex login" in failed.stderr
    assert renewals.asked


@pytest.mark.parametrize(("name", "program"), [("codex", "codex login"), ("claude", "claude setup-token")])
def test_a_missing_login_is_refused_before_the_claim(made: Instance, name: str, program: str) -> None:
    number = issue(made)
    failed = made.run("work", "--once", "--issue", number, "--agent", name, check=False)
    assert failed.returncode == 9
    assert program in failed.stderr
    assert "factory::claimed" not in made.json("issue", "show", number)["labels"]
    listed = {item["name"]: item for item in made.json("agent", "list")}
    assert listed[name]["login"] == "subscription"
    assert listed[name]["credential"].startswith("missing")


@pytest.mark.slow
def test_the_doctor_tries_the_login_with_one_that_it_makes_up(made: Instance) -> None:
    done = made.run("agent", "doctor", "codex", "claude", "--json")
    for tried in json.loads(done.stdout):
        answers = {cell["ability"]: cell["answer"] for cell in tried["cells"]}
        assert set(answers.values()) == {"yes"}, tried


@pytest.mark.slow
def test_two_sessions_on_one_login_run_one_after_the_other(made: Instance, tmp_path: Path) -> None:
    env = made.env(**logged_in(tmp_path, claims("shared")))
    MODEL.waits = 4.0
    early, late = issue(made), issue(made, "Greet a visitor late")
    first = _started(made, early, env, tmp_path / "first")
    wait_for(lambda: "codex works" in (tmp_path / "first").read_text(), seconds=120)
    second = _started(made, late, env, tmp_path / "second")
    first.wait(300)
    second.wait(300)
    said = (tmp_path / "second").read_text()
    assert f"waits until the other session that uses {tmp_path}/auth.json" in said
    assert said.index("waits until") < said.index("codex works")
    early_times = [at for title, at in MODEL.times if title == "early"]
    late_times = [at for title, at in MODEL.times if title == "late"]
    assert early_times
    assert max(early_times) < min(late_times)


def _started(made: Instance, number: str, env: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        argv = [sys.executable, "-P", "-m", "factory", "work", "--once", "--issue", number]
        return subprocess.Popen(argv, cwd=made.clone, env=env, stderr=output, stdout=output)
