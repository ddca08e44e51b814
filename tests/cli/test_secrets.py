"""``factory secrets`` by the real command line: on a real OpenBao, an encrypted file and a loopback GitLab."""

import json
import os
import pty
import re
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factory.local_gitlab.ci import oidc
from tests.instances import Instance, make_instance
from tests.servers import LocalGitlab, git
from tests.stub_server import Answer, saying

PLAN, APPLY = "cloudflare-plan-token", "cloudflare-apply-token"
# The line of the secret that only the gate's job reads.
JUDGE = "  gitlab-judge-token: {variable: FACTORY_TOKEN_JUDGE, gate: true, rotate_days: 90}\n"
VALUE = "planted-cli-value-6bd1"


class Here:
    """A clone with its own state, and the loopback GitLab as its GitLab."""

    def __init__(self, folder: Path, gitlab: LocalGitlab) -> None:
        self.instance: Instance = make_instance(folder)
        self.gitlab = gitlab
        self.project = gitlab.project({"a": "1"})
        self.printed: list[str] = []
        self.policy("[staging, production]", "[production]")
        self.policy(JUDGE, "")
        self.env = {
            "FACTORY_GITLAB_URL": gitlab.url,
            "FACTORY_PROJECT": self.project.path_with_namespace,
            "FACTORY_TOKEN_OPERATOR": gitlab.root_token,
        }

    def run(self, *arguments: str, code: int = 0, stdin: str = "", **env: str) -> Any:
        """Run ``factory secrets …``; fail unless it ends with ``code``."""
        done = self.instance.run("secrets", *arguments, check=False, stdin=stdin, **self.env, **env)
        assert done.returncode == code, done.stdout + done.stderr
        self.printed += [done.stdout, done.stderr]
        return done

    def json(self, *arguments: str, code: int = 0, stdin: str = "", **env: str) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code, stdin=stdin, **env).stdout)

    def policy(self, old: str, new: str) -> None:
        path = self.instance.clone / "policies/secrets.yml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    @property
    def folder(self) -> Path:
        return self.instance.folder() / "secrets"


@pytest.fixture
def here(tmp_path: Path, gitlab_server: LocalGitlab) -> Here:
    return Here(tmp_path, gitlab_server)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, gitlab_server: LocalGitlab) -> Iterator[Here]:
    """Return a clone with its secrets in the persistent local OpenBao."""
    made = Here(tmp_path_factory.mktemp("served"), gitlab_server)
    made.policy("provider: file", "provider: openbao")
    assert made.json("init")["id_tokens"] == "bound"
    yield made
    record = json.loads((made.folder / "openbao/server.json").read_text())
    os.kill(record["pid"], 15)


def on_terminal(here: Here, *arguments: str, typed: str = "") -> str:
    """Run a command on a terminal and type into it; return the terminal's output."""
    argv = [sys.executable, "-P", "-m", "factory", "secrets", *arguments]
    master, slave = pty.openpty()
    env = here.instance.env(**here.env)
    done = subprocess.Popen(
        argv, cwd=here.instance.clone, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen = b""
    for line in typed.splitlines(keepends=True):
        while not seen.rstrip().endswith(b":"):
            seen += os.read(master, 1000)
        time.sleep(0.1)
        os.write(master, line.encode())
        seen += b"\n"
    try:
        while more := os.read(master, 1000):
            seen += more
    except OSError:  # the terminal is gone with the program
        pass
    assert done.wait(30) == 0, seen
    os.close(master)
    return seen.decode()


@pytest.mark.long
def test_a_file_is_set_up_filled_and_read(here: Here, tmp_path: Path) -> None:
    here.run("put", PLAN, code=4, stdin=VALUE)
    made = here.json("init")
    assert stat.S_IMODE(Path(made["key"]).stat().st_mode) == 0o600
    assert here.instance.clone not in Path(made["key"]).parents
    assert here.json("put", PLAN, stdin=VALUE + "\n")["version"] == 1
    assert here.json("put", APPLY, stdin=VALUE)["path"] == f"apply/production/{APPLY}"
    told = here.json("get", PLAN)
    assert (told["version"], told["file"]) == (1, None)
    target = tmp_path / "out"
    here.run("get", PLAN, "--to-file", str(target))
    assert target.read_text() == VALUE
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    rotated = here.run("rotate", PLAN, "--generate")
    assert "version 2 is stored" in rotated.stdout
    assert "CLOUDFLARE_PLAN_TOKEN may have an older version" in rotated.stdout
    assert here.json("get", PLAN)["version"] == 2
    found = {item["thing"]: item["state"] for item in here.json("doctor")}
    assert set(found.values()) == {"ok"}
    assert VALUE not in "".join(here.printed)


@pytest.mark.long
def test_what_is_refused(here: Here) -> None:
    here.run("init")
    here.run("put", PLAN, stdin=VALUE)
    assert "names no secret 'none'" in here.run("get", "none", code=4).stderr
    assert "has no value for the environment" in here.run("get", APPLY, "--environment", "moon", code=3).stderr
    assert "only on a terminal" in here.run("get", PLAN, "--show", code=5).stderr
    assert "in the repository" in here.run("get", PLAN, "--to-file", "out", code=5).stderr
    assert "is empty" in here.run("put", PLAN, code=3, stdin="\n").stderr
    assert "equals the old one" in here.run("rotate", PLAN, code=3, stdin=VALUE).stderr
    assert here.run("put", PLAN, VALUE, code=2)
    key = Path(here.json("init")["key"])
    key.chmod(0o644)
    assert "others can read" in here.run("get", PLAN, code=5).stderr
    key.chmod(0o600)
    store = here.folder / "store.json"
    kept = json.loads(store.read_text())
    store.write_text(json.dumps(kept | {"body": "AAAA" + kept["body"][4:]}))
    assert "can't be decrypted" in here.run("get", PLAN, code=3).stderr
    found = here.json("doctor", code=6)
    assert [item["thing"] for item in found if item["state"] != "ok"] == ["file opens"]


@pytest.mark.long
def test_a_terminal_shows_a_value_only_on_request(here: Here) -> None:
    here.run("init")
    seen = on_terminal(here, "put", PLAN, typed=f"{VALUE}\n{VALUE}\n")
    assert "version 1 is stored" in seen
    assert VALUE not in seen
    assert VALUE not in on_terminal(here, "get", PLAN)
    assert VALUE in on_terminal(here, "get", PLAN, "--show")


@pytest.mark.long
def test_it_prompts_for_a_passphrase(here: Here) -> None:
    phrase = "planted phrase"
    here.run("init", "--passphrase", code=5)
    assert phrase not in on_terminal(here, "init", "--passphrase", typed=f"{phrase}\n{phrase}\n")
    on_terminal(here, "put", PLAN, typed=f"{phrase}\n{VALUE}\n{VALUE}\n")
    assert VALUE in on_terminal(here, "get", PLAN, "--show", typed=f"{phrase}\n")
    assert "only be entered on a terminal" in here.run("get", PLAN, code=5).stderr


@pytest.mark.long
def test_copies_are_masked_protected_where_they_can_be_and_never_read_back(here: Here) -> None:
    here.run("init")
    here.run("put", PLAN, stdin=VALUE)
    here.run("put", APPLY, stdin=VALUE + "-apply")
    assert [item["state"] for item in here.json("sync", "--dry-run")] == ["would be written"] * 2
    assert here.project.variables.list(get_all=True) == []
    assert [item["state"] for item in here.json("sync")] == ["written"] * 2
    found = {item.key: item for item in here.project.variables.list(get_all=True)}
    # A merge request's plan needs the token that only reads, and runs on no protected branch.
    for key, scope, protected in (
        ("CLOUDFLARE_PLAN_TOKEN", "*", False),
        ("CLOUDFLARE_APPLY_TOKEN", "production", True),
    ):
        item = found[key]
        assert (item.protected, item.masked, item.hidden, item.raw) == (protected, True, True, True)
        assert (item.environment_scope, item.value) == (scope, None)
    assert [item["state"] for item in here.json("sync")] == ["as it was"] * 2
    told = here.json("rotate", PLAN, "--generate")
    assert (told["held_by"]["variable"], told["held_by"]["version"]) == ("CLOUDFLARE_PLAN_TOKEN", 1)
    assert [item["state"] for item in here.json("sync")] == ["written", "as it was"]
    kept = (here.folder / "synced.json").read_text()
    assert VALUE not in kept + "".join(here.printed)
    with closing(sqlite3.connect(here.gitlab.state / "gitlab.sqlite")) as database:
        held = [json.loads(row[0]) for row in database.execute("SELECT body FROM documents WHERE kind='variable'")]
    assert VALUE + "-apply" in {item["value"] for item in held}


def test_the_token_of_the_gate_is_a_variable_of_its_own_environment(here: Here) -> None:
    here.policy("secrets:\n", "secrets:\n" + JUDGE)
    here.run("init")
    here.run("put", "gitlab-judge-token", stdin=VALUE)
    here.run("sync", "gitlab-judge-token")
    (item,) = here.project.variables.list(get_all=True)
    assert (item.key, item.environment_scope) == ("FACTORY_TOKEN_JUDGE", "judge")
    # A merge request's branch is not protected.
    assert (item.protected, item.masked, item.hidden, item.value) == (False, True, True, None)


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize(
    ("value", "reason"),
    [("short", "fewer than 8"), ("two words here", "spaces"), ("CLOUDFLARE_PLAN_TOKEN", "name of a variable")],
)
def test_what_gitlab_can_not_mask_is_not_copied(here: Here, value: str, reason: str) -> None:
    here.project.variables.create({"key": "CLOUDFLARE_PLAN_TOKEN", "value": "earlier-value", "masked": True})
    here.run("init")
    here.run("put", PLAN, stdin=value)
    here.run("put", APPLY, stdin=VALUE)
    done = here.json("sync", code=5)
    assert [item["state"] for item in done] == ["refused", "written"]
    assert reason in done[0]["reason"]
    assert here.project.variables.get("CLOUDFLARE_PLAN_TOKEN").value == "earlier-value"


@pytest.mark.long
def test_openbao_is_set_up_used_and_checked(served: Here) -> None:
    served.run("put", PLAN, stdin=VALUE)
    # The server is the module's: what other tests stored before is counted too.
    stored = served.json("put", APPLY, stdin=VALUE)["version"]
    assert served.json("rotate", APPLY, "--generate")["version"] == stored + 1
    found = {item["thing"]: item for item in served.json("doctor")}
    assert {item["state"] for item in found.values()} == {"ok"}
    assert "environment=production" in found["role factory-apply-production"]["found"]
    assert "300 s" in found["role factory-plan"]["found"]
    again = served.json("init")
    assert again["id_tokens"] == "bound"
    assert served.json("get", APPLY)["version"] == stored + 1
    told = served.json("login")
    assert "factory-operator" in told["policies"]
    assert stat.S_IMODE((served.folder / "login.json").stat().st_mode) == 0o600
    assert served.json("get", APPLY)["version"] == stored + 1
    (served.folder / "login.json").unlink()
    assert VALUE not in "".join(served.printed)


@pytest.mark.long
def test_a_job_logs_in_by_its_id_token(served: Here) -> None:
    served.run("put", APPLY, stdin=VALUE)
    now = int(time.time())
    claims = {
        "iss": served.gitlab.url,
        "aud": "factory",
        "sub": "job",
        "iat": now,
        "nbf": now - 5,
        "exp": now + 60,
        "project_id": str(served.project.id),
        "project_path": served.project.path_with_namespace,
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "environment": "production",
        "job_id": "1",
        "pipeline_id": "1",
        "user_login": "root",
    }
    good = oidc.sign(served.gitlab.context, claims)
    told = served.json("login", "--environment", "production", FACTORY_TOKEN_ID=good)
    assert told["policies"] == ["default", "factory-apply-production"]
    assert served.json("get", APPLY)["version"] >= 1
    assert "does not allow" in served.run("put", APPLY, code=5, stdin=VALUE).stderr
    (served.folder / "login.json").unlink()
    bad = oidc.sign(served.gitlab.context, claims | {"ref_protected": "false"})
    refused = served.run("login", "--environment", "production", code=9, FACTORY_TOKEN_ID=bad)
    assert "ref_protected" in refused.stderr
    served.run("login", "--with", "id-token", code=9)
    assert good not in "".join(served.printed)
    assert bad not in "".join(served.printed)


@pytest.mark.long
def test_each_environment_has_its_own_value(here: Here) -> None:
    here.policy("[production]", "[staging, production]")
    here.run("init")
    assert "has a value for each of staging, production" in here.run("put", APPLY, code=3, stdin=VALUE).stderr
    for environment in ("staging", "production"):
        there = here.json("put", APPLY, "--environment", environment, stdin=VALUE)
        assert there["path"] == f"apply/{environment}/{APPLY}"


@pytest.mark.long
def test_a_machine_can_use_its_login_once(served: Here, tmp_path: Path) -> None:
    served.run("put", PLAN, stdin=VALUE)
    ticket = tmp_path / "ticket.json"
    served.run("machine", "--to-file", str(ticket))
    assert stat.S_IMODE(ticket.stat().st_mode) == 0o600
    other = Here(tmp_path / "other", served.gitlab)
    other.policy("provider: file", f"provider: openbao\naddress: {json.loads(ticket.read_text())['address']}")
    assert "factory-plan" in other.json("login", "--from-file", str(ticket))["policies"]
    assert other.json("get", PLAN)["version"] >= 1
    assert "already used" in other.run("login", "--from-file", str(ticket), code=5).stderr
    other.run("machine", "--to-file", str(tmp_path / "more"), code=5)


@pytest.mark.long
def test_a_revoked_login_and_a_typed_one(served: Here) -> None:
    served.run("put", PLAN, stdin=VALUE)
    served.json("login")
    kept = json.loads((served.folder / "login.json").read_text())
    assert "factory-operator" in served.json("login", "--with", "token", stdin=kept["token"])["policies"]
    (served.folder / "login.json").write_text(json.dumps(kept | {"token": "planted-wrong-token"}))
    refused = served.run("get", PLAN, code=9)
    assert "factory secrets login" in refused.stderr
    assert "planted-wrong-token" not in refused.stderr
    debug = served.instance.run("--debug", "secrets", "get", PLAN, check=False, **served.env)
    assert "Traceback" in debug.stderr
    assert "planted-wrong-token" not in debug.stderr
    assert {item["state"] for item in served.json("doctor", code=6)} == {"ok", "fix"}
    (served.folder / "login.json").unlink()
    served.run("login", "--with", "token", code=9, stdin="planted-other-token")


@pytest.mark.long
def test_a_failing_server_is_reported_and_loses_nothing(here: Here) -> None:
    here.run("init")
    here.run("put", PLAN, stdin=VALUE)
    with saying(lambda *_: Answer(500, body={"errors": ["disk"]})) as stub:
        here.policy("provider: file", f"provider: openbao\naddress: {stub.url}")
        env = {"FACTORY_TOKEN_ID": "planted-id-token"}
        refused = here.run("get", PLAN, code=8, **env)
        assert "disk (HTTP 500)" in refused.stderr
        assert here.run("put", PLAN, code=8, stdin=VALUE, **env)
    assert here.run("get", PLAN, code=8, **env)
    here.policy(f"provider: openbao\naddress: {stub.url}", "provider: file")
    assert here.json("get", PLAN)["version"] == 1
    assert "planted-id-token" not in "".join(here.printed)


@pytest.mark.long
def test_nothing_planted_is_in_any_other_output(served: Here) -> None:
    for name in (PLAN, APPLY):
        served.run("put", name, stdin=VALUE)
    for arguments in (["--help"], ["get", "--help"], ["doctor"], ["get", PLAN], ["sync", "--dry-run"]):
        served.run(*arguments)
    for words in (["config"], ["policy", "check"], ["--help"]):
        served.printed.append(served.instance.run(*words, check=False, **served.env).stdout)
    private = {"approle.json", "login.json"}
    for path in [*served.folder.rglob("*"), *served.instance.clone.joinpath("policies").rglob("*")]:
        if path.is_file() and path.name not in private:
            assert VALUE.encode() not in path.read_bytes(), path
    secret_id = json.loads((served.folder / "approle.json").read_text())["secret_id"]
    everything = "".join(served.printed)
    assert VALUE not in everything
    assert secret_id not in everything
    assert not re.search(r"\b(?:hvs|s)\.[A-Za-z0-9_-]{20,}", everything)
    assert VALUE not in git("log", "-p", cwd=served.instance.clone).stdout
