"""A loopback GitLab as GitLab Free answers, shared by the tests of one process."""

from collections.abc import Iterator

import pytest

from tests.servers import LocalGitlab, running_gitlab


@pytest.fixture(scope="session")
def free_gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a loopback GitLab of the tier Free, without pipelines' jobs."""
    with running_gitlab(tmp_path_factory.mktemp("free"), tier="free", concurrency=0) as server:
        yield server
