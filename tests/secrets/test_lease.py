"""Secrets for the length of a block: what a job reads, and that nothing is left after it."""

import time
from typing import Any

import pytest
import requests

from factory.errors import NotFound, Refused, Unauthorized, Unreachable
from factory.model.secret import Secret, SecretLocation
from factory.secrets import lease, setup
from factory.secrets.openbao import OpenBao
from tests.secrets.servers import ROOT_TOKEN, DevServer
from tests.stub_server import Answer, saying

PLACES = (SecretLocation("one", "plan/lease-one", "ONE_TOKEN"), SecretLocation("two", "plan/lease-two", "TWO_TOKEN"))


@pytest.fixture
def environment(openbao: DevServer, root: OpenBao) -> dict[str, str]:
    """Return what a machine's job finds, its secrets stored."""
    setup.configure(root, ["production"])
    for place in PLACES:
        root.put(place, Secret(f"planted-{place.name}"))
    role_id, secret_id = setup.machine(root, lease.role())
    return {lease.ADDRESS: openbao.url, lease.ROLE_ID: role_id, lease.SECRET_ID: secret_id.reveal()}


def alive(root: OpenBao) -> set[str]:
    """Return the accessors of all tokens that machines hold."""
    headers = {"X-Vault-Token": ROOT_TOKEN}
    listed = requests.request("LIST", f"{root.address}/v1/auth/token/accessors", headers=headers, timeout=30).json()
    told = {item: _path(root, item) for item in listed["data"]["keys"]}
    return {item for item, path in told.items() if path == "auth/approle/login"}


def _path(root: OpenBao, accessor: str) -> str:
    try:
        return str(root.write("auth/token/lookup-accessor", {"accessor": accessor})["data"]["path"])
    except (Refused, NotFound):  # it has just ended
        return ""


def test_a_job_gets_its_secrets_and_leaves_no_lease(environment: dict[str, str], root: OpenBao) -> None:
    before = alive(root)
    with lease.opened(environment, PLACES) as found:
        assert {name: value.reveal() for name, value in found.items()} == {"one": "planted-one", "two": "planted-two"}
        assert len(alive(root) - before) == 1
        assert "planted" not in f"{found} {found!r}"
    assert alive(root) <= before


def test_the_lease_is_revoked_where_the_block_raises(environment: dict[str, str], root: OpenBao) -> None:
    before = alive(root)
    with pytest.raises(KeyError), lease.opened(environment, PLACES):
        raise KeyError
    assert alive(root) <= before


def test_the_lease_is_revoked_where_a_secret_is_missing(environment: dict[str, str], root: OpenBao) -> None:
    before = alive(root)
    missing = SecretLocation("three", "plan/lease-missing")
    with pytest.raises(NotFound, match="plan/lease-missing"), lease.opened(environment, [*PLACES, missing]):
        raise AssertionError
    other = SecretLocation("four", "apply/production/four")
    with pytest.raises(Refused), lease.opened(environment, [other]):
        raise AssertionError
    assert alive(root) <= before


@pytest.mark.long
def test_a_long_block_outlives_its_first_lease(environment: dict[str, str], root: OpenBao) -> None:
    root.write(f"auth/approle/role/{lease.role()}", {"token_ttl": 2, "token_max_ttl": 60})
    try:
        with lease.opened(environment, PLACES[:1]):
            mine = OpenBao(environment[lease.ADDRESS])
            held = mine.login_approle(environment[lease.ROLE_ID], Secret(environment[lease.SECRET_ID]))
            inside = alive(root)
            with lease.held(mine, held):
                time.sleep(3.5)
                assert mine.lookup()["ttl"] <= 2
            assert inside & alive(root)
    finally:
        setup.configure(root, ["production"])


def test_without_an_address_the_values_are_in_variables() -> None:
    given = {"ONE_TOKEN": "planted-one", "TWO_TOKEN": "planted-two"}
    with lease.opened(given, PLACES) as found:
        assert found["two"].reveal() == "planted-two"
    with pytest.raises(NotFound, match="TWO_TOKEN"), lease.opened({"ONE_TOKEN": "x"}, PLACES):
        raise AssertionError


def test_an_address_without_a_login_does_not_fall_back(openbao: DevServer) -> None:
    given = {lease.ADDRESS: openbao.url, "ONE_TOKEN": "planted"}
    with pytest.raises(Unauthorized) as refused, lease.opened(given, PLACES[:1]):
        raise AssertionError
    assert "id_tokens" in refused.value.hint


@pytest.mark.long
def test_a_server_that_is_gone_in_the_end_is_logged_and_hides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    auth = {"client_token": "planted-token", "lease_duration": 300, "renewable": True, "policies": ["x"]}

    def answer(_: str, path: str, __: int) -> Answer:
        if path.endswith("/login"):
            return Answer(200, body={"auth": auth})
        return Answer(503) if "revoke" in path else _secret()

    with saying(answer) as stub:
        given = {lease.ADDRESS: stub.url, lease.IDENTITY: "planted-id-token"}
        with pytest.raises(Unreachable), lease.opened(given, PLACES[:1]):
            raise Unreachable("the block's own error")
    said = capsys.readouterr().err
    assert "could not be revoked" in said
    assert "planted" not in said


def _secret() -> Answer:
    body: dict[str, Any] = {"data": {"data": {"value": "planted"}, "metadata": {"version": 1, "created_time": ""}}}
    return Answer(200, body=body)
