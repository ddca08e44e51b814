"""Plugin for python-gitlab's functional tests: the loopback GitLab takes the container's place.

``OUTSIDE_URL`` and ``OUTSIDE_TOKEN`` name the server, ``OUTSIDE_TIER`` its tier. It imports nothing of this repository.
"""

import os
import sys
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the tier or this machine does not have; python-gitlab's own fixture looks for the wrong marker."""
    graphql = pytest.mark.skipif(find_spec("gql") is None, reason="needs the package gql")
    for item in items:
        if "test_graphql" in item.nodeid:
            item.add_marker(graphql)
        if "test_invalid_auth_config" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="asks gitlab.com"))
        if os.environ["OUTSIDE_TIER"] == "free" and item.get_closest_marker("gitlab_premium"):
            item.add_marker(pytest.mark.skip(reason="needs GitLab Premium"))


@pytest.fixture(scope="session")
def docker_ip() -> str:
    """Return the server's address, for python-gitlab's fixture ``gitlab_url``."""
    return str(urlsplit(os.environ["OUTSIDE_URL"]).hostname)


class _Container:
    """The service that python-gitlab waits for."""

    def port_for(self, *_: object, **__: object) -> int:
        return int(urlsplit(os.environ["OUTSIDE_URL"]).port or 0)

    def wait_until_responsive(self, **_: object) -> None:
        """Return at once: the server runs."""


@pytest.fixture(scope="session")
def docker_services() -> _Container:
    """Replace what python-gitlab's conftest does in containers: token, first clean-up, registration of a runner."""
    conftest: Any = sys.modules["tests.functional.conftest"]
    conftest.set_token = lambda *_, **__: os.environ["OUTSIDE_TOKEN"]
    conftest.reset_gitlab = lambda _: None
    conftest.check_output = _register_runner
    return _Container()


def _register_runner(_: list[str]) -> bytes:
    """Let the runner that is there take untagged jobs."""
    url, token = f"{os.environ['OUTSIDE_URL']}/api/v4/runners/1", os.environ["OUTSIDE_TOKEN"]
    requests.put(url, json={"run_untagged": True}, headers={"PRIVATE-TOKEN": token}, timeout=10).raise_for_status()
    return b""
