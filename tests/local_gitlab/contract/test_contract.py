"""The server matches ``factory/local_gitlab/serving/openapi.yml``: routes, statuses, headers, fields."""

import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import requests
from openapi_spec_validator import validate

from factory.local_gitlab.app import routes_served
from factory.local_gitlab.ci import oidc
from factory.local_gitlab.runner.api import routes as runner_routes
from tests.local_gitlab.contract.calls import AREAS
from tests.local_gitlab.contract.document import PAGE_HEADERS, PREFIX, Contract, Exchange
from tests.local_gitlab.contract.pipelines import pipelines
from tests.local_gitlab.contract.settings import SETTINGS
from tests.local_gitlab.contract.world import World
from tests.servers import LocalGitlab, running_gitlab

# A runner's long poll without a job takes 20 s.
NOT_TRIED = {("POST", "/jobs/request", 204)}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_gitlab(tmp_path_factory.mktemp("contract"), concurrency=0) as server:
        yield World(server)


def _plain(path: str) -> str:
    """Return an aiohttp path as an OpenAPI template below ``/api/v4``."""
    return re.sub(r"{(\w+):[^}]*}", r"{\1}", path).removeprefix(PREFIX)


def test_the_document_is_openapi(contract: Contract) -> None:
    validate(contract.document)


def test_every_route_is_documented_and_every_operation_served(contract: Contract, gitlab_server: LocalGitlab) -> None:
    runner = [(route.method, route.path) for route in runner_routes(gitlab_server.context)]
    public = [(route.method, route.path) for route in oidc.routes(gitlab_server.context)]
    served = {(method, _plain(path)) for method, path in [*routes_served(), *runner, *public]}
    assert served == set(contract.operations())


@pytest.mark.long
def test_every_operation_answers_as_documented(contract: Contract, world: World) -> None:
    for area in (*AREAS, *SETTINGS, pipelines):
        area(world)
    _refuse_everywhere(contract, world)
    broken = {line for exchange in world.exchanges for line in contract.violations(exchange)}
    assert not broken, "\n" + "\n".join(sorted(broken))
    seen = {(*contract.operation(each.method, each.path), each.status) for each in world.exchanges}
    assert contract.promised() - seen == NOT_TRIED


def _refuse_everywhere(contract: Contract, world: World) -> None:
    """Repeat each successful request without a valid token, as a guest, and for a missing project."""
    done = {
        contract.operation(each.method, each.path): each
        for each in world.exchanges
        if each.status < HTTPStatus.BAD_REQUEST
    }
    forbidden = {
        contract.operation(each.method, each.path) for each in world.exchanges if each.status == HTTPStatus.FORBIDDEN
    }
    assert set(done) == set(contract.operations())
    for (method, template), operation in contract.operations().items():
        path = done[method, template].path
        if not contract.prefix(template):
            continue
        if template.startswith("/jobs/") or template == "/runners/verify":
            world.call(method, path, 403, who=None, json={"token": "wrong"}, headers={"JOB-TOKEN": "wrong"})
            continue
        world.call(method, path, 401, who=None, headers={"PRIVATE-TOKEN": "wrong"})
        if template.startswith("/projects/{id}"):
            world.call(method, re.sub(r"^/projects/[^/]+", "/projects/99999", path), 404)
            world.call(method, path, 404, who="stranger")
        if "403" in operation["responses"] and (method, template) not in forbidden:
            world.call(method, path, 403, who="guest")


def test_absent_operations_are_absent(contract: Contract, gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    served = {path for _, path in contract.operations()}
    for method, path in contract.absent():
        assert path not in served
        plain = re.sub(r"{\w+}", "1", path.replace("{id}", str(project.id)))
        url = gitlab_server.url + ("" if plain.startswith("/api/") else PREFIX) + plain
        answer = requests.request(method, url, headers={"PRIVATE-TOKEN": gitlab_server.root_token}, timeout=30)
        assert answer.status_code == HTTPStatus.NOT_FOUND, path


@pytest.mark.parametrize("path", ["", "/issues", "/issues/1", "/repository/branches", "/nothing"])
def test_head_is_get_without_a_body(gitlab_server: LocalGitlab, path: str) -> None:
    project = gitlab_server.project({"a": "1"})
    for number in range(3):
        project.issues.create({"title": str(number)})
    url = f"{gitlab_server.url}{PREFIX}/projects/{project.id}{path}"
    headers = {"PRIVATE-TOKEN": gitlab_server.root_token}
    got, head = (requests.request(method, url, headers=headers, timeout=30) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in (*PAGE_HEADERS, "Content-Type", "Content-Length"):
        assert head.headers.get(name) == got.headers.get(name)


def test_pages(gitlab_server: LocalGitlab, contract: Contract) -> None:
    project = gitlab_server.project()
    for number in range(5):
        project.issues.create({"title": str(number)})
    url = f"{gitlab_server.url}{PREFIX}/projects/{project.id}/issues?state=opened&per_page=2"
    seen = []
    while url:
        answer = requests.get(url, headers={"PRIVATE-TOKEN": gitlab_server.root_token}, timeout=30)
        assert not list(contract.violations(Exchange.of(answer)))
        seen.append([answer.headers[name] for name in PAGE_HEADERS[:-1]])
        url = answer.links.get("next", {}).get("url", "")
    assert seen == [
        ["1", "2", "5", "3", "2", ""],
        ["2", "2", "5", "3", "3", "1"],
        ["3", "2", "5", "3", "", "2"],
    ]


def test_a_field_of_the_wrong_kind_and_an_unknown_one_are_found(contract: Contract) -> None:
    body = b'{"id": "1", "user": {"odd": 1}, "last_deployment": null}'
    found = list(contract.violations(Exchange("GET", "/projects/1/environments/1", 200, {}, body)))
    assert any("$.id" in line and "integer" in line for line in found)
    assert any("$.user is not in the document" in line for line in found)
    assert list(contract.violations(Exchange("GET", "/user", 418, {}, b"{}")))
