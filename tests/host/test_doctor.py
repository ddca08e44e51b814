"""What ``factory host doctor`` finds, with a loopback GitLab and tokens of several scopes."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from factory.gitlab import connect as gitlab
from factory.gitlab.connect import Connection
from factory.host.doctor import HostPlace, diagnose
from tests.evidence import examples
from tests.servers import LocalGitlab


@pytest.fixture
def place() -> Iterator[HostPlace]:
    with tempfile.TemporaryDirectory() as name:  # a socket's path is short
        folder = Path(name)
        trust = folder / "trust.json"
        trust.write_bytes(examples.trust().write())
        yield HostPlace(trust, folder / "s", folder, named=False)


def states(connection: Connection | None, place: HostPlace) -> dict[str, str]:
    return {item.thing: item.state for item in diagnose(connection, place)}


def with_scopes(server: LocalGitlab, *scopes: str) -> Connection:
    project = server.project({"README.md": "hello"})
    token = project.access_tokens.create({"name": "host", "scopes": list(scopes), "access_level": 30}).token
    return gitlab.connect(server.url, project.path_with_namespace, account="", token=token)


@pytest.mark.parametrize(
    ("scopes", "named", "state"),
    [
        (("read_api", "read_repository"), False, "ok"),
        (("read_api", "read_repository"), True, "fix"),
        (("read_api", "write_repository"), True, "ok"),
        (("read_api",), False, "fix"),
        (("api",), True, "ok"),
    ],
)
def test_a_token_needs_the_scopes_of_what_the_host_does(
    gitlab_server: LocalGitlab, place: HostPlace, scopes: tuple[str, ...], *, named: bool, state: str
) -> None:
    found = {item.thing: item for item in diagnose(with_scopes(gitlab_server, *scopes), replace(place, named=named))}
    assert (found["token"].state, found["token"].found) == (state, ", ".join(sorted(scopes)))
    assert ("write_repository" in found["token"].fix) is (state == "fix" and named)


def test_what_is_missing_is_named_and_nothing_is_left_behind(gitlab_server: LocalGitlab, place: HostPlace) -> None:
    assert states(None, place) == {"trust root": "ok", "token": "missing", "sockets": "ok", "disk": "ok"}
    assert not place.sockets.exists(), "only `host run` makes it"
    wrong = gitlab.connect(gitlab_server.url, "no/such", account="", token="wrong")
    place.trust.write_text("{}")
    long = replace(place, sockets=place.state / ("x" * 90))
    assert states(wrong, long) == {"trust root": "fix", "token": "fix", "sockets": "fix", "disk": "ok"}
    assert list(place.state.iterdir()) == [place.trust]
    nowhere = gitlab.connect("http://127.0.0.1:1", "a/b", account="", token="t", timeout=5)
    [token] = [item for item in diagnose(nowhere, place) if item.thing == "token"]
    assert (token.state, token.fix.partition(",")[0]) == ("unknown", "check --url")
