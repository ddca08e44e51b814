"""``factory host``: what a person reads when it cannot work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence import examples
from tests.servers import TOOL_PATH


def host(folder: Path, *argv: str, token: str = "t") -> "subprocess.CompletedProcess[str]":
    env = {"PATH": TOOL_PATH, "HOME": str(folder), **({"FACTORY_HOST_TOKEN": token} if token else {})}
    return subprocess.run(
        [sys.executable, "-m", "factory", "host", *argv],
        cwd=Path(__file__).parents[3],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path, *, environment: str = "staging", url: str = "http://127.0.0.1:1", token: str = "t") -> list[str]:
    trust = folder / "trust.json"
    trust.write_bytes(examples.trust().write())
    argv = ("run", environment, "--url", url, "--project", "a/b", "--trust", str(trust), "--once")
    done = host(folder, *argv, "--sockets", str(folder / "s"), token=token)
    return [str(done.returncode), *done.stderr.splitlines()]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"environment": "../x"}, "3", "'../x' is not the name of an environment"),
        ({"url": "gitlab.com"}, "3", "gitlab.com is not an address of GitLab"),
        ({"token": ""}, "3", "FACTORY_HOST_TOKEN is not set, and there is no credential gitlab-token"),
        ({}, "8", "Failed to connect to 127.0.0.1 port 1"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, given: dict[str, str], code: str, said: str) -> None:
    found = run(tmp_path, **given)
    assert found[0] == code, found
    assert any(said in line for line in found), found


def test_the_doctor_names_what_a_host_lacks(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_bytes(examples.trust().write())
    given = ("staging", "--url", "http://127.0.0.1:1", "--project", "a/b", "--trust", str(trust))
    done = host(tmp_path, "doctor", *given, "--sockets", str(tmp_path / "s"), "--json", token="")
    found = {item["thing"]: item["state"] for item in json.loads(done.stdout)["findings"]}
    assert (found["trust root"], found["token"]) == ("ok", "missing")
    assert done.returncode == 10
    assert "this host lacks:" in done.stderr
    assert "token" in done.stderr


def test_the_status_is_what_the_last_look_wrote(tmp_path: Path) -> None:
    assert "no host of staging ran here" in host(tmp_path, "status", "staging").stderr
    run(tmp_path)
    status = json.loads(host(tmp_path, "status", "staging", "--json").stdout)
    assert (status["runs"], status["size"], status["releases"]) == (False, 0, [])
    assert "Failed to connect" in status["problem"]
    assert "not running" in host(tmp_path, "status", "staging").stderr


def test_the_logs_of_an_app_are_shown_and_its_escapes_are_not_obeyed(tmp_path: Path) -> None:
    assert "no release ran for staging here" in host(tmp_path, "logs", "staging").stderr
    folder = tmp_path / "state" / "releases" / "logs"
    folder.mkdir(parents=True)
    (folder / "shop-1.log").write_text("one\n\x1b[2Jtwo\n")
    (folder / "mail-1.log").write_text("three\n")
    given = ("staging", "--state", str(tmp_path / "state"))
    assert host(tmp_path, "logs", *given).stdout.splitlines() == [
        "mail-1: three",
        "shop-1: one",
        "shop-1: \\u001b[2Jtwo",
    ]
    assert host(tmp_path, "logs", "staging", "shop", *given[1:], "--lines", "1").stdout == "\\u001b[2Jtwo\n"
    [line] = host(tmp_path, "logs", "staging", "mail", *given[1:], "--json").stdout.splitlines()
    assert json.loads(line) == {"release": "mail-1", "line": "three"}


def test_nothing_can_be_restarted_where_no_host_runs(tmp_path: Path) -> None:
    run(tmp_path)
    done = host(tmp_path, "restart", "staging", "shop")
    assert (done.returncode, "no host of staging runs here" in done.stderr) == (4, True)


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    first, again = (json.loads(host(tmp_path, "key", "staging", "--json").stdout) for _ in range(2))
    assert first == again
    [path] = tmp_path.rglob("host.pem")
    assert (path.stat().st_mode & 0o777) == 0o600
    assert f"enrol-host NAME {first['key']} --environment staging" in host(tmp_path, "key", "staging").stdout


def install(folder: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    trust = folder / "my trust.json"
    trust.write_bytes(examples.trust().write())
    given = ("--url", "https://gitlab.com", "--project", "a/b", "--trust", str(trust), "--out", str(folder / "units"))
    return host(folder, "install", "production", *given, *argv)


def test_units_are_written_and_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    connector = tmp_path / "cloudflared"
    connector.write_text("#!/bin/sh\n")
    connector.chmod(0o755)
    done = install(tmp_path, "--user", "jane", "--cloudflared", str(connector))
    assert done.returncode == 0, done.stderr
    names = ("factory-host-production.service", "factory-tunnel-production.service")
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == list(names)
    assert "sudo systemctl daemon-reload" in done.stdout
    assert ("not checked" in done.stdout) is (shutil.which("systemd-analyze", path=TOOL_PATH) is None)


@pytest.mark.skipif(shutil.which("systemd-analyze", path=TOOL_PATH) is None, reason="there is no systemd-analyze here")
def test_a_connector_that_cannot_be_started_is_said_by_systemd(tmp_path: Path) -> None:
    connector = tmp_path / "cloudflared"
    connector.write_text("no program")
    done = install(tmp_path, "--user", "jane", "--cloudflared", str(connector))
    assert done.returncode == 10
    assert "is not executable" in done.stderr


def test_nothing_runs_as_root(tmp_path: Path) -> None:
    done = install(tmp_path, "--user", "root")
    assert (done.returncode, (tmp_path / "units").exists()) == (3, False)
    assert "a host does not run as root" in done.stderr
