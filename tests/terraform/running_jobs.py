"""Jobs of a loopback GitLab that run without a runner, as they see themselves."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from factory.operations.infra_job import Job
from factory.policies.folder import read_folder
from tests.servers import ROOT, TOOL_ENV, LocalGitlab, wait_for

BRANCH = "of a branch"
NAMES = ("apply", "other", "ended", BRANCH)
CI = "".join(f"{name}:\n  script: [a]\n  rules: [{{if: $CI_COMMIT_BRANCH == 'main'}}]\n" for name in NAMES[:-1])
CI += "branch:\n  script: [a]\n  rules: [{if: $CI_COMMIT_BRANCH != 'main'}]\n"


def take(server: LocalGitlab) -> Mapping[str, Job]:
    """Return running jobs as they see themselves: three of main, of which one has ended, and one of a branch."""
    project = server.project({".gitlab-ci.yml": CI})
    project.protectedbranches.create({"name": "main"})
    action = {"action": "create", "file_path": "b", "content": "b"}
    project.commits.create({"branch": "work", "start_branch": "main", "commit_message": "b", "actions": [action]})
    runner: Any = server.client().http_post("/user/runners", post_data={"runner_type": "instance_type"})
    found: dict[str, Job] = {}
    policies = read_folder(ROOT)
    while len(found) < len(NAMES):
        wait_for(lambda: project.jobs.list(get_all=True, scope=["pending"]))
        got = requests.post(f"{server.url}/api/v4/jobs/request", json={"token": runner["token"]}, timeout=30).json()
        given = {item["key"]: item["value"] for item in got["variables"]} | {"CI_JOB_TOKEN": got["token"]}
        name = got["job_info"]["name"] if given["CI_COMMIT_REF_NAME"] == "main" else BRANCH
        found[name] = Job(TOOL_ENV | given, ROOT, policies, {}, given["CI_COMMIT_SHA"], "b" * 40)
    _report(server, found["ended"], "success")
    return found


@contextmanager
def alive(server: LocalGitlab, jobs: Mapping[str, Job]) -> Iterator[None]:
    """Tell the server again and again that the jobs still run, as their runner does."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(2):
            for name in NAMES:
                if name != "ended":
                    _report(server, jobs[name], "running")

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _report(server: LocalGitlab, job: Job, state: str) -> None:
    url = f"{server.url}/api/v4/jobs/{job.given['CI_JOB_ID']}"
    with requests.Session() as session:
        # Otherwise it reads os.environ, while pytest writes to it in another thread.
        session.trust_env = False
        session.put(url, json={"token": job.given["CI_JOB_TOKEN"], "state": state}, timeout=30)
