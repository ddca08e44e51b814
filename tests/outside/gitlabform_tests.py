"""Plugin for gitlabform's acceptance tests: the tier of the loopback GitLab takes the licence's place.

It imports nothing of this repository.
"""

import os

import gitlab
import pytest


def pytest_configure() -> None:
    """Answer the question for the licence, which the loopback GitLab does not have."""
    tier = os.environ["OUTSIDE_TIER"]
    setattr(gitlab.Gitlab, "get_license", lambda _: {"plan": tier, "expires_at": None})  # noqa: B010 - as for mypy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the tier does not have."""
    for item in items:
        if item.get_closest_marker("requires_ultimate_license"):
            item.add_marker(pytest.mark.skip(reason="needs GitLab Ultimate"))
        elif os.environ["OUTSIDE_TIER"] == "free" and item.get_closest_marker("requires_license"):
            item.add_marker(pytest.mark.skip(reason="needs GitLab Premium"))
