"""Runs the suite for a real GitLab against a loopback one."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from factory.gitlab.runners import VARIABLE
from factory.operations import apply_evidence
from tests.cli.test_refusals import connect, url
from tests.instances import Instance, founded
from tests.servers import ROOT

pytestmark = [pytest.mark.long, pytest.mark.matrix(8, group="flows"), pytest.mark.timeout(900)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Instance]:
    """Run a Free instance whose Cloudflare is empty again, so that another project can be deployed there."""
    made = founded(tmp_path, tier="free")
    made.run("down")
    shutil.rmtree(made.folder() / "cloudflare")
    made.run("up")
    yield made
    made.run("down", check=False)


def variables(made: Instance) -> dict[str, dict[str, object]]:
    """Return the CI variables of the embedded project that lead to its Cloudflare; its runners and keys are its own."""
    with closing(sqlite3.connect(made.folder() / "gitlab/gitlab.sqlite")) as database:
        rows = database.execute("SELECT body FROM documents WHERE kind='variable'").fetchall()
    found = [item for row in rows if (item := json.loads(row[0]))["key"] not in {VARIABLE, apply_evidence.VARIABLE}]
    return {item["key"]: {key: item[key] for key in ("value", "masked", "protected")} for item in found}


@pytest.mark.slow
def test_it_does_the_main_job_and_leaves_nothing(running: Instance, tmp_path: Path) -> None:
    given = tmp_path / "variables.json"
    given.write_text(json.dumps(variables(running)))
    tokens = {name: (running.folder() / "tokens" / name).read_text() for name in ("operator", "factory-bot")}
    env = {
        **os.environ,
        "FACTORY_TEST_URL": url(running.folder()),
        "FACTORY_TEST_TOKEN": tokens["operator"],
        "FACTORY_TEST_BOT_TOKEN": tokens["factory-bot"],
        "FACTORY_TEST_VARIABLES": str(given),
    }
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "real",
        "-p",
        "no:xdist",
        "-p",
        "no:schemathesis",
        "tests/gitlab/test_real.py",
    ]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert ".. " in done.stdout
    left = connect(url(running.folder()), "operator", running.folder()).projects.list(get_all=True)
    assert [project.path_with_namespace for project in left] == ["factory/control"]
