"""The real Terraform with its HTTP backend on the server: locks, versions, roles, stale plans."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import PATIENCE, TOOL_ENV, LocalGitlab, wait_for

_ROOT = """
terraform {
  backend "http" {}
}
variable "value" {
  default = "one"
}
resource "terraform_data" "it" {
  input = var.value
}
output "value" {
  value = terraform_data.it.output
}
"""
_LOCK = dict.fromkeys(("ID", "Operation", "Info", "Who", "Version", "Created", "Path"), "") | {
    "ID": "11111111-2222-3333-4444-555555555555",
    "Operation": "OperationTypeApply",
    "Who": "somebody@elsewhere",
    "Created": "2026-01-02T03:04:05Z",
}


class Root:
    """A Terraform root module; only the environment contains the state's address and the token."""

    def __init__(self, folder: Path, server: LocalGitlab, project: Any, *, token: str | None = None) -> None:
        self.folder = folder
        self.address = f"{server.url}/api/v4/projects/{project.id}/terraform/state/live"
        self.token = token or server.root_token
        folder.mkdir()
        (folder / "main.tf").write_text(_ROOT)
        (folder / "terraform.rc").write_text("disable_checkpoint = true\n")
        self.said = ""
        self.env = {
            **TOOL_ENV,
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
            "TF_HTTP_ADDRESS": self.address,
            "TF_HTTP_LOCK_ADDRESS": f"{self.address}/lock",
            "TF_HTTP_UNLOCK_ADDRESS": f"{self.address}/lock",
            "TF_HTTP_LOCK_METHOD": "POST",
            "TF_HTTP_UNLOCK_METHOD": "DELETE",
            "TF_HTTP_USERNAME": "gitlab-ci-token",
            "TF_HTTP_PASSWORD": self.token,
            "TF_HTTP_RETRY_MAX": "0",
        }
        assert self.run("init") == 0, self.said

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start terraform."""
        inputs = ["-input=false"] if command in {"init", "plan", "apply"} else []
        return subprocess.Popen(
            ["terraform", command, "-no-color", *inputs, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, *arguments: str) -> int:
        """Run Terraform; store its output without line breaks in ``said`` and return the exit code."""
        with self.start(command, *arguments) as process:
            self.said = " ".join(process.communicate(timeout=PATIENCE)[0].split())
        return process.returncode

    def apply(self, value: str) -> int:
        """Apply with a value."""
        return self.run("apply", "-auto-approve", f"-var=value={value}")

    def send(self, method: str, path: str = "", **options: Any) -> requests.Response:
        """Send a request for the state with basic authentication, as jobs do."""
        return requests.request(
            method, self.address + path, auth=("gitlab-ci-token", self.token), timeout=30, **options
        )


@pytest.fixture
def root(gitlab_server: LocalGitlab, tmp_path: Path) -> Root:
    return Root(tmp_path / "root", gitlab_server, gitlab_server.project())


def test_versions_and_lock_of_an_apply(root: Root) -> None:
    assert root.apply("one") == 0, root.said
    assert root.apply("two") == 0, root.said
    newest = root.send("GET").json()
    assert newest["outputs"]["value"]["value"] == "two"
    older = root.send("GET", f"/versions/{newest['serial'] - 1}").json()
    assert (older["serial"], older["lineage"]) == (newest["serial"] - 1, newest["lineage"])
    assert root.send("GET", "/versions/99").status_code == 404
    assert root.send("DELETE", "/lock", json=_LOCK).status_code == 409, "terraform has unlocked it"
    text = "".join(path.read_text(errors="replace") for path in root.folder.rglob("*") if path.is_file())
    assert root.token not in text, "credentials stay out of files"


def test_a_held_lock_stops_terraform_and_names_its_holder(root: Root) -> None:
    assert root.send("POST", "/lock", json=_LOCK).json() == _LOCK
    refused = root.send("POST", "/lock", json=_LOCK | {"ID": "other", "Who": "me"})
    assert (refused.status_code, refused.json()) == (409, _LOCK)
    assert root.apply("one") == 1
    assert "Error acquiring the state lock" in root.said
    assert _LOCK["ID"] in root.said
    assert root.run("force-unlock", "-force", _LOCK["ID"]) == 0, root.said
    assert root.apply("one") == 0, root.said


def test_a_second_concurrent_apply_is_refused(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    project = gitlab_server.project()
    slow = Root(tmp_path / "slow", gitlab_server, project)
    other = Root(tmp_path / "other", gitlab_server, project)
    (slow.folder / "slow.tf").write_text(
        'resource "terraform_data" "slow" {\n  provisioner "local-exec" {\n'
        '    command = "touch started; until [ -e finish ]; do sleep 0.05; done"\n  }\n}\n'
    )
    with slow.start("apply", "-auto-approve") as first:
        try:
            wait_for((slow.folder / "started").exists)
            assert other.apply("two") == 1
            assert "Error acquiring the state lock" in other.said
        finally:
            (slow.folder / "finish").touch()
        said = first.communicate(timeout=PATIENCE)[0]
    assert first.returncode == 0, said
    assert other.apply("two") == 0, other.said


def test_a_write_after_a_forced_unlock_is_refused(root: Root) -> None:
    assert root.apply("one") == 0, root.said
    state = root.send("GET").json()
    assert root.send("POST", "/lock", json=_LOCK).status_code == 200
    assert root.send("DELETE", "/lock").status_code == 200, "without an ID it is a forced unlock"
    late = root.send("POST", params={"ID": _LOCK["ID"]}, json=state | {"serial": state["serial"] + 1})
    assert late.status_code == 409
    assert root.send("GET").json() == state
    assert root.send("POST", json=state).status_code == 422, "a serial is taken once"


def test_a_stale_saved_plan_is_refused(root: Root) -> None:
    assert root.apply("one") == 0, root.said
    assert root.run("plan", "-var=value=two", "-out=plan") == 0, root.said
    assert root.apply("three") == 0, root.said
    assert root.run("apply", "plan") == 1
    assert "Saved plan is stale" in root.said
    assert root.send("GET").json()["outputs"]["value"]["value"] == "three"


def test_a_developer_can_read_but_not_write(gitlab_server: LocalGitlab, tmp_path: Path, root: Root) -> None:
    assert root.apply("one") == 0, root.said
    project = gitlab_server.client().projects.get(int(root.address.split("/")[6]))
    user, token = gitlab_server.user("reader")
    member = project.members.create({"user_id": user.id, "access_level": 30})
    theirs = Root(tmp_path / "theirs", gitlab_server, project, token=token)
    assert theirs.run("plan", "-lock=false", "-detailed-exitcode") == 0, theirs.said
    assert theirs.apply("two") == 1
    assert "invalid auth" in theirs.said
    assert theirs.send("POST", json={"serial": 99}).status_code == 403
    member.access_level = 20
    member.save()
    assert theirs.send("GET").status_code == 403
    project.members.delete(user.id)
    assert theirs.send("GET").status_code == 404
    assert requests.get(theirs.address, auth=("x", "wrong"), timeout=30).status_code == 401


_PROBE = """
import os, requests
auth = ("gitlab-ci-token", os.environ["CI_JOB_TOKEN"])
project = os.environ["CI_API_V4_URL"] + "/projects/" + os.environ["CI_PROJECT_ID"]
state = project + "/terraform/state/live"
print("written", requests.post(state, json={"version": 4, "serial": 7}, auth=auth).status_code)
print("read", requests.get(state, auth=auth).json()["serial"])
print("jobs", requests.get(project + "/jobs", auth=auth).status_code)
print("backwards", os.environ["CI_JOB_TOKEN"][::-1])
"""


@pytest.mark.long
def test_a_jobs_token_reads_and_writes_until_the_job_ends(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    project.protectedbranches.create({"name": "main"})
    definition = "job:\n  script: ['\"$FACTORY_PYTHON\" probe.py']\n"
    files = {".gitlab-ci.yml": definition, "probe.py": _PROBE}
    actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": actions})
    job = wait_for(lambda: [each for each in project.jobs.list(get_all=True) if each.finished_at])[0]
    trace = project.jobs.get(job.id).trace().decode()
    assert "written 200\nread 7\njobs 404\n" in trace, trace
    token = trace.split("backwards ")[1].split()[0][::-1]
    address = f"{gitlab_server.url}/api/v4/projects/{project.id}/terraform/state/live"
    assert requests.get(address, auth=("gitlab-ci-token", token), timeout=30).status_code == 401


def test_the_state_with_the_highest_serial_is_the_newest(gitlab_server: LocalGitlab) -> None:
    address = f"{gitlab_server.url}/api/v4/projects/{gitlab_server.project().id}/terraform/state/live"
    headers = {"PRIVATE-TOKEN": gitlab_server.root_token}
    for serial in (3, 9, 4):
        body = {"version": 4, "serial": serial, "lineage": "x"}
        assert requests.post(address, json=body, headers=headers, timeout=30).status_code == 200
    assert requests.get(address, headers=headers, timeout=30).json()["serial"] == 9
