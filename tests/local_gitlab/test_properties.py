"""Requests that schemathesis generates from the server's OpenAPI description.

The server never fails, and answers each request with a status, content type and body of the description.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.local_gitlab.contract import document
from tests.servers import LocalGitlab, running_gitlab

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document.written())
# Without a job, this request waits 20 s.
WAITS = "/jobs/request"
OPERATIONS = [each.ok() for each in SCHEMA.get_all_operations() if isinstance(each, Ok) and each.ok().path != WAITS]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a separate server, because the requests leave it in an unknown state."""
    with running_gitlab(tmp_path_factory.mktemp("properties"), concurrency=0) as running:
        yield running


@pytest.fixture(scope="module")
def project(server: LocalGitlab) -> Any:
    made = server.project({"a": "1", ".gitlab-ci.yml": "x: {script: ['true']}\n"})
    made.issues.create({"title": "one"})
    made.commits.create(
        {
            "branch": "other",
            "start_branch": "main",
            "commit_message": "b",
            "actions": [{"action": "create", "file_path": "b", "content": "2"}],
        }
    )
    made.mergerequests.create({"source_branch": "other", "target_branch": "main", "title": "b"})
    return made


@pytest.mark.matrix(40)
@pytest.mark.parametrize("examples", [10, pytest.param(40, marks=pytest.mark.soak)])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method.upper()} {each.path}")
def test_every_response_matches_the_description(
    operation: Any, examples: int, server: LocalGitlab, project: Any
) -> None:
    base = server.url + ("" if operation.path.startswith(("/.well-known", "/oauth")) else "/api/v4")

    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), derandomize=True
    )
    def check(case: Any) -> None:
        # Most requests need an existing project.
        if "id" in case.path_parameters:
            case.path_parameters["id"] = (
                99 if (case.method, operation.path) == ("DELETE", "/projects/{id}") else project.id
            )
        if "iid" in case.path_parameters:
            case.path_parameters["iid"] = 1
        # Revoking the request's own token would turn all further answers into 401.
        if "token_id" in case.path_parameters:
            case.path_parameters["token_id"] = 99
        # Deleting the administrator would, too.
        if (case.method, operation.path) == ("DELETE", "/users/{user_id}"):
            case.path_parameters["user_id"] = 99
        answer = case.call(base_url=base, headers={"PRIVATE-TOKEN": server.root_token})
        case.validate_response(answer, checks=CHECKS)

    check()
    assert server.client().http_get("/user")
