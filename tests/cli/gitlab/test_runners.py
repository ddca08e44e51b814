"""``factory gitlab runners`` by the real command line, on a GitLab that is not the clone's own."""

import json
import stat
import tomllib
from pathlib import Path

import pytest
import requests

from tests.cli.gitlab.test_connect import Here
from tests.cli.test_refusals import assert_told
from tests.servers import LocalGitlab

NAMES = {"factory-merge-requests", "factory-protected"}


@pytest.fixture
def here(tmp_path: Path, gitlab_server: LocalGitlab) -> Here:
    made = Here(tmp_path, gitlab_server)
    made.connected()
    return made


def verify(here: Here, token: str) -> int:
    """Verify a token as gitlab-runner does."""
    return requests.post(f"{here.server.url}/api/v4/runners/verify", json={"token": token}, timeout=30).status_code


@pytest.mark.long
def test_runners_are_registered_once_kept_renewed_and_compared_with_policy(here: Here, tmp_path: Path) -> None:
    out = tmp_path / "runners"
    made = json.loads(here.run("gitlab", "runners", "register", "--out", str(out), "--json").stdout)
    assert {(item["name"], item["state"]) for item in made} == {(name, "registered") for name in NAMES}
    tokens = {}
    for name in NAMES:
        path = out / f"{name}.toml"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        config = tomllib.loads(path.read_text())
        (runner,) = config["runners"]
        assert (runner["name"], runner["url"], runner["executor"]) == (name, here.server.url, "docker")
        assert runner["docker"]["privileged"] is False
        assert runner["docker"]["volumes"] == []
        assert verify(here, runner["token"]) == 200
        assert runner["token"] not in here.printed
        tokens[name] = runner["token"]
    listed = {item["name"]: item for item in json.loads(here.run("gitlab", "runners", "list", "--json").stdout)}
    assert {name: item["protected"] for name, item in listed.items()} == {
        "factory-protected": True,
        "factory-merge-requests": False,
    }
    assert json.loads(here.run("gitlab", "plan", "--json").stdout)["in_sync"]
    again = json.loads(here.run("gitlab", "runners", "register", "--out", str(out), "--json").stdout)
    assert {item["state"] for item in again} == {"as it was"}
    only = ("gitlab", "runners", "register", "--only", "factory-protected")
    assert_told(here.run(*only, "--out", str(tmp_path / "other"), code=1), 1, "shows a token only once")
    here.run(*only, "--out", str(out), "--renew", "--executor", "shell")
    assert verify(here, tokens["factory-protected"]) == 403
    config = tomllib.loads((out / "factory-protected.toml").read_text())
    assert (config["runners"][0]["executor"], "docker" in config["runners"][0]) == ("shell", False)
    assert verify(here, config["runners"][0]["token"]) == 200


def test_a_repository_that_names_no_runners_registers_those_of_its_pipeline(here: Here, tmp_path: Path) -> None:
    settings = here.instance.clone / "policies/gitlab.yml"
    lines = settings.read_text().splitlines(keepends=True)
    at = lines.index("runners:\n")
    settings.write_text("".join(lines[:at] + lines[at + 3 :]))
    made = json.loads(here.run("gitlab", "runners", "register", "--out", str(tmp_path / "runners"), "--json").stdout)
    assert {item["name"] for item in made} == NAMES
    listed = json.loads(here.run("gitlab", "runners", "list", "--json").stdout)
    assert {item["name"]: (item["tags"], item["protected"]) for item in listed} == {
        name: ([name], name == "factory-protected") for name in NAMES
    }


@pytest.mark.long
def test_a_runner_changed_by_hand_is_drift_and_what_would_be_unsafe_is_refused(here: Here, tmp_path: Path) -> None:
    out = str(tmp_path / "runners")
    register = ("gitlab", "runners", "register", "--out")
    assert_told(here.run(*register, out, "--executor", "shell", code=1), 1, "access to the whole machine")
    assert_told(here.run(*register, str(here.instance.clone / "x"), code=1), 1, "inside the repository")
    assert_told(here.run(*register, out, "--only", "nobody", code=1), 1, "no runner 'nobody'")
    (tmp_path / "file").write_text("x")
    assert_told(here.run(*register, str(tmp_path / "file"), code=1), 1, "is not a folder")
    assert json.loads(here.run("gitlab", "runners", "list", "--json").stdout) == []
    here.run(*register, out)
    listed = json.loads(here.run("gitlab", "runners", "list", "--json").stdout)
    number = next(item["id"] for item in listed if item["protected"])
    runner = here.server.client().runners.get(number)
    runner.access_level, runner.tag_list = "not_protected", ["factory-protected", "factory-merge-requests"]
    runner.save()
    plan = json.loads(here.run("gitlab", "plan", "--json", code=2).stdout)
    assert {(item["section"], item["key"], item["field"]) for item in plan["differences"]} == {
        ("runners", "factory-protected", "protected"),
        ("runners", "factory-protected", "tags"),
    }
    here.run("gitlab", "apply")
    assert here.server.client().runners.get(number).access_level == "ref_protected"
