"""Fixtures: a loopback Cloudflare that the tests of a worker share, and one for a single test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_cloudflare.double import Double


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    """Serve tests that name zones and releases of their own."""
    server = Double(tmp_path_factory.mktemp("cloudflare") / "state")
    yield server
    server.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Double]:
    """Serve one test."""
    server = Double(tmp_path / "state")
    yield server
    server.close()
