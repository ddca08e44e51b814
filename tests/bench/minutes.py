"""Job time of a shipped change: every job installs what it needs from an empty cache, as on GitLab's hosted runners."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitlab

from tests.instances import Instance, founded

LIMIT = 300.0
_DEFINITION = ".gitlab-ci.yml"
_INSTALLS = re.compile(
    r"^(?P<indent> *)(?P<item>- )?(?P<command>[^#\n]*(?:-m venv|pip install|uv install|pip .* install) .*)$",
    re.MULTILINE,
)
# What a machine behind a proxy of its own needs to reach the package index.
_REACH = ("SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY")
# What bash prints for `times`: user and system time of the shell, then of the programs that it ran.
_TIMES = re.compile(r"(\d+)m([\d.]+)s")
_SPENT = re.compile(r"^installing took (\d+) ms", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One job that ran: where, its seconds as GitLab shows them, of which installing packages, and of processor time.

    Of a busy machine, the processor time tells what the job would take; it lacks what the job waits for the network.
    """

    pipeline: str
    name: str
    seconds: float
    installing: float
    processor: float


def row() -> dict[str, object]:
    """Ship one change of the replay agent on an instance of its own; print its jobs; return one row of `make bench`."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("FACTORY_TEST_SHARED", str(Path(folder) / "shared"))
        Path(os.environ["FACTORY_TEST_SHARED"]).mkdir(exist_ok=True)
        instance = founded(Path(folder), name="demo", change=_install_in_each_job)
        try:
            argv = [str(Path(sys.executable).parent / "factory"), "demo", "--yes", "--keep"]
            subprocess.run(argv, cwd=instance.clone, env=instance.env(), check=True, stdout=sys.stderr)
            jobs = _jobs(instance)
        finally:
            instance.run("--instance", "demo", "down", check=False)
    for line in table(jobs):
        print(line)  # noqa: T201 - a program's output
    seconds = sum(job.seconds for job in jobs if job.pipeline != "first attempt")
    what = "job time of a shipped change, each job with an environment of its own"
    return {"what": what, "seconds": round(seconds, 1), "limit": LIMIT, "holds": seconds <= LIMIT}


def table(jobs: Sequence[Job]) -> Iterable[str]:
    """Return a line for each job: seconds, and of which installing."""
    yield f"{'pipeline':16}{'job':20}{'seconds':>9}{'installing':>12}{'processor':>11}"
    for job in jobs:
        yield f"{job.pipeline:16}{job.name:20}{job.seconds:9.1f}{job.installing:12.1f}{job.processor:11.1f}"


def instrumented(definition: str) -> str:
    """Return a definition whose jobs take no Python or Terraform of the runner, and print how long installing took.

    As on a hosted runner, the jobs that run the change's code have the network.
    """

    def timed(found: re.Match[str]) -> str:
        lines = (
            "began=$(date +%s%N)",
            found["command"],
            'echo "installing took $((($(date +%s%N) - began) / 1000000)) ms"',
        )
        inner = found["indent"] + ("  " if found["item"] else "")
        head = [f"{found['indent']}- |"] if found["item"] else []
        return "\n".join([*head, *(inner + line for line in lines)])

    variables = {"SANDBOX_NETWORK": "host"} | {name: os.environ[name] for name in _REACH if name in os.environ}
    changes = {
        'PY="${FACTORY_PYTHON:-}"': 'trap times EXIT; PY=""',
        "command -v terraform > /dev/null || ": "",
        "\nvariables:\n": "\nvariables:\n"
        + "".join(f"  {name}: {json.dumps(value)}\n" for name, value in variables.items()),
    }
    for old, new in changes.items():
        assert old in definition, old
        definition = definition.replace(old, new)
    return _INSTALLS.sub(timed, definition)


def _install_in_each_job(clone: Path) -> None:
    path = clone / _DEFINITION
    path.write_text(instrumented(path.read_text()))


def _jobs(instance: Instance) -> list[Job]:
    """Return the jobs of the change's pipelines that ran, the failed attempts' first."""
    folder = instance.folder("demo")
    port = json.loads((folder / "instance.json").read_text())["ports"]["gitlab"]
    token = (folder / "tokens/operator").read_text()
    client = gitlab.Gitlab(f"http://127.0.0.1:{port}", private_token=token)
    project = client.projects.get(client.projects.list(get_all=True)[0].id)
    [change] = project.mergerequests.list(state="merged", get_all=True)
    change = project.mergerequests.get(change.iid)
    found = []
    for item in sorted(change.pipelines.list(get_all=True), key=lambda one: one.id):
        label = "merge request" if item.sha == change.sha else "first attempt"
        found += _of(project, item.id, label)
    for run in project.pipelines.list(sha=change.sha, ref="main", get_all=True):
        found += _of(project, run.id, "main")
    return found


def _of(project: Any, pipeline: int, label: str) -> list[Job]:
    jobs = project.pipelines.get(pipeline).jobs.list(get_all=True, include_retried=True)
    found = []
    for job in sorted(jobs, key=lambda one: one.id):
        if job.duration is None:
            continue
        log = project.jobs.get(job.id).trace().decode(errors="replace")
        installing = sum(int(spent) for spent in _SPENT.findall(log)) / 1000
        last = "\n".join(log.rstrip().splitlines()[-4:])
        processor = sum(int(minutes) * 60 + float(rest) for minutes, rest in _TIMES.findall(last))
        found.append(Job(label, job.name, job.duration, installing, processor))
    return found
