"""Servers that tests share: one loopback GitLab with its runner per test process."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis  # imported here, before any thread: CPython 3.11 cannot parse modules in two threads at once
import pytest

from tests import matrix
from tests.servers import LocalGitlab, running_gitlab
from tests.summary import pytest_terminal_summary  # noqa: F401 - a hook, run where reports are gathered

# No test is timed: a busy machine is no failure.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=40)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=300)

# The bytes that a whole run may leave in temporary files, with room to spare.
_ROOM = 8 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Let all test processes share what they can, in folders that go with the run.

    That is where temporary files are, what pipelines' definitions expand to, and instances after their founding
    deployment. `--basetemp` names another folder for what tests write, which stays.
    """
    hypothesis.settings.load_profile("soak" if config.getoption("every_row") else "suite")
    if not hasattr(config, "workerinput"):
        os.environ["SEED"] = str(matrix.seed())
        for variable in ("TMPDIR", "XDG_CACHE_HOME", "FACTORY_TEST_SHARED"):
            folder = tempfile.TemporaryDirectory(prefix="f-", dir=_memory())
            config.add_cleanup(folder.cleanup)
            os.environ[variable] = folder.name
        tempfile.tempdir = None  # read TMPDIR again


def _memory() -> Path | None:
    """Return the machine's file system in memory, if the tests' many small files fit there."""
    found = Path("/dev/shm")
    return found if found.is_dir() and shutil.disk_usage(found).free >= _ROOM else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which every row of a matrix runs."""
    parser.addoption("--every-row", action="store_true", help="run every row of a matrix, and more examples")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the rows of each matrix that the seed draws, and put what takes longest first."""
    if not config.getoption("every_row"):
        rows = [matrix.Row(matrix.group(item), item.nodeid, size) for item in items if (size := matrix.size(item))]
        kept = set(matrix.drawn(rows, matrix.seed()))
        left = [item for item in items if matrix.size(item) and item.nodeid not in kept]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not matrix.size(item) or item.nodeid in kept]
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.get_closest_marker("long") is None))


@pytest.fixture(scope="session")
def gitlab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a loopback GitLab with a runner, shared by the tests of one process."""
    with running_gitlab(tmp_path_factory.mktemp("gitlab")) as server:
        yield server


@pytest.fixture(scope="session")
def free_gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a loopback GitLab of the tier Free, without pipelines' jobs, shared by the tests of one process."""
    with running_gitlab(tmp_path_factory.mktemp("free"), tier="free", concurrency=0) as server:
        yield server


@pytest.fixture
def near(gitlab_server: LocalGitlab) -> Iterator[LocalGitlab]:
    """Give the server's settings back as they were: other tests lean on GitLab's default."""
    settings = gitlab_server.client().settings.get()
    settings.allow_local_requests_from_web_hooks_and_services = True
    settings.save()
    yield gitlab_server
    settings.allow_local_requests_from_web_hooks_and_services = False
    settings.save()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 kB for one test, where this machine lets us."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
