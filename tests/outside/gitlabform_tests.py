"""Plugin for gitlabform's acceptance tests: the tier of the loopback GitLab takes the licence's place.

It imports nothing of this repository.
"""

import os

import gitlab
import pytest


def pytest_configure() -> None:
    """Answer the question for the licence, which the loopback GitLab does not have.

    Let default branches be protected, as they are in a new GitLab.
    """
    tier = os.environ["OUTSIDE_TIER"]
    instance = gitlab.Gitlab(os.environ["OUTSIDE_URL"], private_token=os.environ["OUTSIDE_TOKEN"])
    instance.http_put("/application/settings", post_data={"default_branch_protection": 2})
    setattr(gitlab.Gitlab, "get_license", lambda _: {"plan": tier, "expires_at": None})  # noqa: B010 - as for mypy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the tier does not have."""
    for item in items:
        if item.get_closest_marker("requires_ultimate_license"):
            item.add_marker(pytest.mark.skip(reason="needs GitLab Ultimate"))
        elif os.environ["OUTSIDE_TIER"] == "free" and item.get_closest_marker("requires_license"):
            item.add_marker(pytest.mark.skip(reason="needs GitLab Premium"))
