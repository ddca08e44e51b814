"""Compute minutes, as servers of several versions and to several accounts tell them."""

from typing import Any

import pytest

from factory.gitlab.connect import connect
from factory.gitlab.namespace import compute_minutes
from factory.gitlab.namespace.compute_minutes import ComputeMinutes
from tests.stub_server import Answer, saying

LIMIT, EXTRA = "shared_runners_minutes_limit", "extra_shared_runners_minutes_limit"
USED = {"total_minutes_used": 37, "monthly_minutes_used": 37, "purchased_minutes_used": 0}


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, {LIMIT: 400, EXTRA: None, "ci_minutes_usage": USED}, ComputeMinutes("crew", 37, 363)),
        (200, {LIMIT: 30, EXTRA: 10, "ci_minutes_usage": USED}, ComputeMinutes("crew", 37, 3)),
        (200, {LIMIT: 30, "ci_minutes_usage": USED}, ComputeMinutes("crew", 37, 0)),
        (200, {LIMIT: None, "ci_minutes_usage": USED}, ComputeMinutes("crew", 37, None)),
        (200, {LIMIT: 400}, ComputeMinutes("crew", None, None)),
        (200, {}, ComputeMinutes("crew", None, None)),
        (404, {"message": "404 Namespace Not Found"}, ComputeMinutes("crew", None, None)),
        (403, {"message": "403 Forbidden"}, ComputeMinutes("crew", None, None)),
        (200, {LIMIT: None, "ci_minutes_usage": dict.fromkeys(USED, 0)}, None),
    ],
)
def test_what_gitlab_does_not_tell_is_not_guessed(status: int, body: Any, found: ComputeMinutes | None) -> None:
    with saying(lambda *_: Answer(status, body=body)) as server:
        connection = connect(server.url, "crew/tools/control", account="jane", token="x")
        assert compute_minutes.read(connection) == found
    assert [path for _, path, _ in server.asked] == ["/api/v4/namespaces/crew"]
    assert found is None or found.enough is (found.left is None or found.left >= compute_minutes.OF_A_CHANGE)
