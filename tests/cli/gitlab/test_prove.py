"""``factory prove`` by the real command line, against the loopback GitLab and the loopback Cloudflare."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from factory.cli.gitlab import prove
from factory.host.sockets import short_folder
from factory.instance.agent_trial_script import CONTENT, FILE
from factory.local_model import script
from factory.local_model.server import running
from tests.cli.test_refusals import assert_told, connect, url
from tests.flaky_proxy import between
from tests.instances import Instance, founded, make_instance
from tests.local_cloudflare.double import ACCOUNT
from tests.servers import PATIENCE, ROOT, wait_for

pytestmark = pytest.mark.timeout(1100)
ZONE = "prove.example"
CROWD = "crowd"
# Codex with a stub in its model's place, where it is installed.
AGENTS = ("replay", *(["codex"] if (ROOT / ".tools/agents/bin/codex-acp").exists() and shutil.which("bwrap") else []))


def _with_transcripts(clone: Path) -> None:
    shutil.copytree(ROOT / "docs/conformance", clone / "docs/conformance")


class Services:
    """A running instance whose GitLab and Cloudflare are proved, with a zone of others and a group."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        folder = instance.folder()
        self.url = url(folder)
        ports = json.loads((folder / "instance.json").read_text())["ports"]
        base = f"http://127.0.0.1:{ports['cloudflare']}"
        self.api = f"{base}/client/v4"
        self.variables = {
            "CLOUDFLARE_BASE_URL": self.api,
            "TF_CLI_CONFIG_FILE": str(next((folder / "provider").glob("*.tfrc"))),
            "FACTORY_EDGE_URL": f"http://127.0.0.1:{ports['edge']}",
        }
        self.sockets: Path | None = short_folder(folder / "sockets")
        self.write = json.loads((folder / "tokens/cloudflare.json").read_text())["apply"]
        tokens = {name: (folder / "tokens" / name).read_text() for name in ("operator", "factory-bot")}
        self.env = {
            "FACTORY_TOKEN_OPERATOR": tokens["operator"],
            "FACTORY_TOKEN_FACTORY_BOT": tokens["factory-bot"],
            "FACTORY_TOKEN_JUDGE": tokens["factory-bot"],
            "CLOUDFLARE_API_TOKEN": self.write,
            "OPENAI_API_KEY": "sk-proj-planted000000000000000000000000",
        }
        self.client = connect(self.url, "operator", folder)
        self.client.groups.create({"name": CROWD, "path": CROWD})
        zone = self.cloudflare("POST", "/zones", {"name": ZONE, "account": {"id": ACCOUNT}})["id"]
        self.records = f"/zones/{zone}/dns_records"
        for record in (
            {"type": "MX", "name": ZONE, "content": "mx.example", "priority": 10},
            {"type": "TXT", "name": f"k._domainkey.{ZONE}", "content": "v=DKIM1; p=abc"},
        ):
            self.cloudflare("POST", self.records, record)

    def cloudflare(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        done = requests.request(
            method, self.api + path, json=body, headers={"Authorization": f"Bearer {self.write}"}, timeout=30
        )
        assert done.ok, done.text
        return done.json()["result"]

    def has(self) -> tuple[list[str], list[str], list[Any], list[str]]:
        """Return what a run could leave: projects, groups, the zone's records, and tunnels."""
        tunnels = self.cloudflare("GET", f"/accounts/{ACCOUNT}/cfd_tunnel?is_deleted=false")
        return (
            sorted(item.path_with_namespace for item in self.client.projects.list(get_all=True)),
            sorted(item.full_path for item in self.client.groups.list(get_all=True)),
            self.cloudflare("GET", self.records),
            sorted(item["name"] for item in tunnels),
        )

    def arguments(self, *more: str, at: str = "") -> list[str]:
        variables = [f"--variable={key}={value}" for key, value in self.variables.items()]
        sockets = [f"--sockets={self.sockets}"] if self.sockets else []
        return ["prove", at or self.url, *variables, *sockets, "--yes", "--out", str(self.out), *more]

    @property
    def out(self) -> Path:
        return self.instance.state / "out"

    def prove(self, *more: str, at: str = "", code: int = 0) -> Any:
        return self.run(*self.arguments(*more, at=at), code=code)

    def run(self, *arguments: str, code: int = 0) -> Any:
        done = self.instance.run(*arguments, check=False, **self.env)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *more: str) -> "subprocess.Popen[str]":
        """Start a run in a process of its own, which can be interrupted."""
        argv = [sys.executable, "-P", "-m", "factory", *self.arguments(*more)]
        env = {**self.instance.env(**self.env), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            argv, cwd=self.instance.clone, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def answered(self, answers: Mapping[bytes, bytes]) -> tuple[int, str]:
        """Run it on a terminal, and give the answer to each question as it comes; return its exit code and output."""
        arguments = [item for item in self.arguments() if item != "--yes"]
        argv = ["env", "--default-signal=INT", "setsid", "--ctty", sys.executable, "-P", "-m", "factory", *arguments]
        outer, inner = pty.openpty()
        env = {**self.instance.env(**self.env), "PYTHONPATH": str(ROOT)}
        run = subprocess.Popen(argv, cwd=self.instance.clone, env=env, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        limit = threading.Timer(PATIENCE, run.kill)
        limit.start()
        seen, asked = b"", dict(answers)
        with suppress(OSError):  # the terminal is gone with the program
            while more := os.read(outer, 1000):
                seen += more
                question = next((words for words in asked if words in seen and seen.endswith(b"[y/N]: ")), None)
                if question:
                    os.write(outer, asked.pop(question))
        code = run.wait(PATIENCE)
        limit.cancel()
        os.close(outer)
        assert not asked, seen
        return code, seen.decode()

    def throwaway(self) -> list[Any]:
        """Return the projects of runs."""
        return [item for item in self.client.projects.list(get_all=True) if "prove" in item.path_with_namespace]


@pytest.fixture
def services(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Services]:
    with running(lambda _: [script.Write(FILE, CONTENT), script.Say("Done.")]) as model:

        def change(clone: Path) -> None:
            _with_transcripts(clone)
            agents = clone / "policies/agents.yml"
            agents.write_text(agents.read_text().replace("https://api.openai.com/v1", model.url + "/v1"))

        made = founded(tmp_path, tier=getattr(request, "param", "free"), change=change)
        yield Services(made)
        made.run("down", check=False)


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
@pytest.mark.parametrize("services", ["free", "premium"], indirect=True)
def test_everything_on_the_loopback_parts(services: Services) -> None:
    before = services.has()
    agents = [f"--agent={name}" for name in AGENTS]
    done = services.prove("--group", CROWD, "--zone", ZONE, *agents, "--json")
    found = json.loads(done.stdout)
    outcomes = {step["name"]: step["outcome"] for step in found["steps"]}
    assert set(outcomes.values()) == {"passed"}, outcomes
    assert len(outcomes) == 10 + len(AGENTS)
    assert (found["differences"], found["left"]) == ([], [])
    assert found["server"]["loopback"] is True
    assert found["seconds"] < 900
    assert "simulated" in found["decisions"]
    assert services.has() == before
    (text,) = services.out.glob("prove-*.md")
    assert "the loopback GitLab" in text.read_text()
    for secret in services.env.values():
        assert secret not in done.stdout + done.stderr + text.read_text()
    assert "operator/" not in text.read_text()
    assert [path.name for path in (services.instance.state / "factory/prove").iterdir()] == ["lock"]


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_without_zone_and_group_on_a_server_that_answers_otherwise(services: Services) -> None:
    before = services.has()

    def changed(path: str, data: bytes) -> bytes:
        return data.replace(b'"confidential":', b'"confidant":') if "/issues" in path else data

    with between(services.url) as proxy:
        proxy.changed = changed
        done = services.prove("--json", at=proxy.url, code=18)
    found = json.loads(done.stdout)
    assert found["differences"]
    assert all(line.endswith("confidential is not in the real response") for line in found["differences"])
    outcomes = {step["name"]: step["outcome"] for step in found["steps"]}
    assert {name for name, outcome in outcomes.items() if outcome == "not run"} == {
        "throwaway group",
        "production",
        "agents",
    }
    assert outcomes.pop("conformance transcript") == "different"
    assert set(outcomes.values()) == {"passed", "not run"}
    assert found["left"] == []
    assert services.has() == before


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_a_zone_behind_which_nothing_answers(services: Services) -> None:
    before = services.has()
    del services.variables["FACTORY_EDGE_URL"]
    services.sockets = None
    found = json.loads(services.prove("--zone", ZONE, "--json", code=17).stdout)
    steps = {step["name"]: step for step in found["steps"]}
    assert steps["approve, merge, staging"]["outcome"] == "passed"
    assert "no --sockets was given" in steps["production"]["detail"]
    assert steps["evidence"]["outcome"] == "not run"
    assert found["left"] == []
    assert services.has() == before


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_a_no_makes_nothing_and_approves_nothing(services: Services) -> None:
    before = services.has()
    code, told = services.answered({b"Do this?": b"n\n"})
    assert code == 5, told
    assert "you did not agree: nothing was made" in told
    assert not list(services.instance.state.rglob("made.json"))
    assert services.has() == before
    code, told = services.answered({b"Do this?": b"y\n", b"Approve !": b"n\n"})
    assert code == 17, told
    (path,) = (path for path in services.out.glob("prove-*.json") if "transcript" not in path.name)
    found = json.loads(path.read_text())
    steps = {step["name"]: step for step in found["steps"]}
    assert (steps["approve, merge, staging"]["outcome"], steps["approve, merge, staging"]["detail"]) == (
        "failed",
        "you did not approve",
    )
    assert steps["evidence"]["outcome"] == "not run"
    assert (found["decisions"], found["left"]) == ("by the operator, on the terminal", [])
    assert services.has() == before


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_a_killed_run_is_cleaned_up(services: Services) -> None:
    before = services.has()
    run = services.start("--group", CROWD, "--zone", ZONE)
    wait_for(lambda: run.poll() is not None or any(map(applies, services.throwaway())))
    run.kill()
    told = run.communicate()[0]
    assert "failed" not in told, told
    assert services.has() != before
    assert_told(services.prove(code=7), 7, "has not deleted", "factory prove --clean-up")
    told = services.run("prove", "--clean-up", code=0).stdout
    assert "deleted the group" in told
    assert services.has() == before
    assert services.run("prove", "--clean-up").stdout == "nothing was left\n"


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_an_interrupted_run_deletes_what_it_made(services: Services) -> None:
    before = services.has()
    run = services.start("--group", CROWD)
    wait_for(lambda: run.poll() is not None or services.throwaway())
    assert_told(services.prove(code=7), 7, "another process holds")
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 17, told
    assert "you interrupted the run" in told
    assert services.has() == before


def applies(project: Any) -> bool:
    """Return whether the pipeline of a run's own project applies a plan; the project of the transcript soon goes."""
    if project.path != "control":
        return False
    return any(job.name == "apply-staging" and job.status == "running" for job in project.jobs.list(get_all=True))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["prove"], 3, ["name the GitLab"]),
        (["prove", "http://gitlab.example"], 3, ["is not an https URL"]),
        (["prove", "https://127.0.0.1:9", "--variable", "x"], 3, ["is not NAME=VALUE"]),
        (["prove", "https://127.0.0.1:9"], 5, ["Your token on GitLab (FACTORY_TOKEN_OPERATOR)"]),
    ],
)
def test_refusals(tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    made = make_instance(tmp_path)
    _with_transcripts(made.clone)
    assert_told(made.run(*arguments, check=False), code, *words)


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "end of input"])
def test_a_prompt_that_is_left_makes_nothing(tmp_path: Path, key: bytes) -> None:
    made = make_instance(tmp_path)
    _with_transcripts(made.clone)
    argv = [sys.executable, "-P", "-m", "factory", "prove", "https://127.0.0.1:9"]
    outer, inner = pty.openpty()
    # What was started in the background ignores SIGINT, and so would this program.
    leader = ["env", "--default-signal=INT", "setsid", "--ctty"]
    run = subprocess.Popen([*leader, *argv], cwd=made.clone, env=made.env(), stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    limit = threading.Timer(PATIENCE, run.kill)
    limit.start()
    seen = b""
    while not seen.endswith(b"(FACTORY_TOKEN_OPERATOR): "):
        seen += os.read(outer, 1000)
    # getpass first discards what was typed before it hid the terminal's echo.
    wait_for(lambda: not termios.tcgetattr(outer)[3] & termios.ECHO)
    os.write(outer, key)
    with suppress(OSError):  # the terminal is gone with the program
        while more := os.read(outer, 1000):
            seen += more
    assert run.wait(PATIENCE) == 130, seen
    limit.cancel()
    os.close(outer)
    assert seen.decode().count("factory: interrupted") == 1
    assert "Traceback" not in seen.decode()
    assert list(made.state.rglob("made.json")) == []


def test_two_reports_of_a_day_are_both_kept(tmp_path: Path) -> None:
    for name in ("prove-2026-12-02.md", "prove-2026-12-02-2.json"):
        (tmp_path / name).touch()
    assert prove.free_name(tmp_path, "prove-2026-12-02") == "prove-2026-12-02-3"
    assert prove.free_name(tmp_path, "prove-2026-12-03") == "prove-2026-12-03"


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_what_is_not_there_is_said_before_anything_is_made(services: Services) -> None:
    before = services.has()
    for more, code, words in (
        (("--group", "nowhere"), 4, "you have access to no group nowhere"),
        (("--zone", "nowhere.example"), 4, "Cloudflare has no zone nowhere.example"),
        (("--agent", "nobody"), 4, "policies/agents.yml names no agent nobody"),
        (("--agent", "aider"), 10, "the agent aider is not installed"),
    ):
        done = services.prove(*more, code=code)
        assert words in done.stderr, done.stderr
    services.env["FACTORY_TOKEN_FACTORY_BOT"] = services.env["FACTORY_TOKEN_OPERATOR"]
    assert_told(services.prove(code=7), 7, "both tokens belong to")
    services.env["FACTORY_TOKEN_OPERATOR"] = "wrong"
    assert_told(services.prove(code=9), 9)
    assert services.has() == before
