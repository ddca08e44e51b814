"""Third-party clients of the GitLab simulator: python-gitlab's command line, and curl."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PATIENCE, LocalGitlab


def ran(*argv: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    made = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **env}
    return subprocess.run(argv, cwd=cwd, env=made, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.long
def test_python_gitlabs_own_command_line(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})

    def cli(*arguments: str) -> Any:
        given = ["--server-url", gitlab_server.url, "--private-token", gitlab_server.root_token, "--output", "json"]
        done = ran(sys.executable, "-m", "gitlab", *given, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else done.stdout

    number = str(project.id)
    assert cli("project", "get", "--id", number)["path_with_namespace"] == project.path_with_namespace
    made = cli("project-issue", "create", "--project-id", number, "--title", "One", "--labels", "a,b")
    assert made["labels"] == ["a", "b"]
    cli("project-issue", "update", "--project-id", number, "--iid", str(made["iid"]), "--state-event", "close")
    listed = cli("project-issue", "list", "--project-id", number, "--get-all")
    assert [(item["title"], item["state"]) for item in listed] == [("One", "closed")]
    cli("project-branch", "create", "--project-id", number, "--branch", "x/y", "--ref", "main")
    assert {item["name"] for item in cli("project-branch", "list", "--project-id", number)} == {"main", "x/y"}
    cli(
        "project-variable", "create", "--project-id", number, "--key", "A", "--value", "long-enough", "--masked", "true"
    )
    assert cli("project-variable", "get", "--project-id", number, "--key", "A")["masked"] is True
    cli("project-protected-branch", "create", "--project-id", number, "--name", "rel/*")
    cli("project-label", "create", "--project-id", number, "--name", "l", "--color", "#112233")
    refused = ran(sys.executable, "-m", "gitlab", "--server-url", gitlab_server.url, "project", "get", "--id", number)
    assert "401" in refused.stderr


def test_curl_pages_etags_and_forms(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    for number in range(3):
        project.issues.create({"title": f"t{number}"})
    url = f"{gitlab_server.url}/api/v4/projects/{project.id}/issues"

    def curl(*arguments: str) -> tuple[int, dict[str, str], str]:
        token = f"PRIVATE-TOKEN: {gitlab_server.root_token}"
        done = ran("curl", "--silent", "--noproxy", "*", "--include", "--header", token, *arguments)
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body

    status, headers, body = curl(f"{url}?per_page=2")
    assert (status, headers["X-Total"], headers["X-Next-Page"], len(json.loads(body))) == (200, "3", "2", 2)
    again = curl("--header", f"If-None-Match: {headers['ETag']}", f"{url}?per_page=2")
    assert (again[0], again[1]["X-Next-Page"], again[2]) == (304, "2", "")
    assert curl("--header", 'If-None-Match: W/"other"', f"{url}?per_page=2")[0] == 200
    assert curl("--data-urlencode", "title=one & two", url)[0] == 201
    assert curl("--form", "title=three", url)[0] == 201
    assert json.loads(curl(f"{url}?search=two")[2])[0]["title"] == "one & two"
    assert curl("--request", "DELETE", f"{url}/1")[0] == 204
    assert curl("--head", f"{url}/2")[0] == 200
