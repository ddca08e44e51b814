"""The world that the red team attacks, shared by the tests of one process."""

from collections.abc import Iterator

import pytest

from tests.terraform import red_team


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[red_team.World]:
    """Give servers, an applied stack and a running job; nothing that a test does to a scene reaches another's."""
    with red_team.running(tmp_path_factory.mktemp("red-team")) as world:
        yield world
