"""A job is lost if its runner says nothing: not while the runner packs artifacts, nor if the server stood still."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from factory.local_gitlab.runner import executor
from factory.system import clock
from tests.flaky_proxy import Between, between
from tests.servers import PATIENCE, ROOT, TOOL_ENV, LocalGitlab, running_gitlab, wait_for

DEFINITION = "job:\n  script: ['echo x > a']\n  artifacts: {paths: [a]}\n"
LIMIT = 30.0
Form = TypeVar("Form")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a server without a runner."""
    with running_gitlab(tmp_path_factory.mktemp("heartbeats"), concurrency=0) as server:
        yield server


def registered(server: LocalGitlab, project: Any) -> str:
    """Register a runner of a project; return its token."""
    body = {"runner_type": "project_type", "project_id": project.id}
    made: Any = server.client().http_post("/user/runners", post_data=body)
    return str(made["token"])


@contextmanager
def runner(server: LocalGitlab, project: Any, url: str, builds: Path) -> Iterator[None]:
    """Run a project's runner that reaches the server at another address."""
    settings = executor.Settings(
        url=url,
        tokens=(registered(server, project),),
        builds=builds,
        env=TOOL_ENV,
        readable=(ROOT / ".venv", Path(sys.base_prefix)),
        concurrency=1,
    )
    ended = threading.Event()
    worker = threading.Thread(target=executor.run, args=(settings, ended), daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()


def beats(proxy: Between, number: int) -> int:
    """Return how often the runner reported on a job."""
    return sum(call[:2] == ("PATCH", f"/api/v4/jobs/{number}/trace") for call in proxy.sent)


@pytest.mark.long
def test_a_runner_reports_while_its_job_is_busy_with_artifacts(quiet: LocalGitlab, tmp_path: Path) -> None:
    """The transfer of the artifacts waits for two heartbeats, and these come from nothing else than the job itself."""
    silent: list[int] = []

    def hold(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/artifacts"):
            number = int(path.split("/")[-2])
            before, deadline = beats(proxy, number), time.monotonic() + LIMIT
            while beats(proxy, number) < before + 2:
                if time.monotonic() > deadline:
                    silent.append(number)
                    return
                time.sleep(0.05)

    project = quiet.project({".gitlab-ci.yml": DEFINITION})
    with between(quiet.url) as proxy, runner(quiet, project, proxy.url, tmp_path / "builds"):
        proxy.before = hold
        (job,) = wait_for(lambda: project.jobs.list(get_all=True))
        wait_for(lambda: project.jobs.get(job.id).status in {"success", "failed"})
    assert silent == [], f"no heartbeat for {LIMIT:g} s"
    assert project.jobs.get(job.id).status == "success"
    assert project.jobs.get(job.id).artifact("a") == b"x\n"


@pytest.mark.long
def test_only_a_runner_that_is_silent_while_the_server_runs_has_lost_its_job(quiet: LocalGitlab) -> None:
    project, store = quiet.project({".gitlab-ci.yml": DEFINITION}), quiet.context.store
    token = registered(quiet, project)
    (job,) = wait_for(lambda: project.jobs.list(get_all=True))
    wait_for(lambda: project.jobs.get(job.id).status == "pending")
    # Whoever takes a job and never reports again.
    quiet.client().http_post("/jobs/request", post_data={"token": token})

    def aged(seconds: float, *, stall: float) -> None:
        """Let the last report of the job be so many seconds old, and the server stand still."""
        store.save("job", (store.get("job", job.id) or {}) | {"_beat": clock.iso(clock.after(-seconds))})
        time.sleep(stall)

    def reported() -> datetime:
        return clock.parse((store.get("job", job.id) or {})["_beat"])

    stalled = clock.now()
    at_server(quiet, partial(aged, LIMIT - 1, stall=7))
    wait_for(lambda: at_server(quiet, reported) >= stalled or status(project, job) != "running")
    assert status(project, job) == "running"

    def lost() -> bool:
        at_server(quiet, partial(aged, LIMIT + 1, stall=0))
        return status(project, job) == "failed"

    wait_for(lost)
    assert project.jobs.get(job.id).failure_reason == "runner_system_failure"


def at_server(server: LocalGitlab, what: Callable[[], Form]) -> Form:
    """Return what a function returns in the server's own thread, the only one that may read its store."""

    async def act() -> Form:
        return what()

    return asyncio.run_coroutine_threadsafe(act(), server.loop).result(PATIENCE)


def status(project: Any, job: Any) -> str:
    """Return a job's status."""
    return str(project.jobs.get(job.id).status)
