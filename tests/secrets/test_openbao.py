"""The door to OpenBao on the real server: versions, check-and-set, logins, leases, wrapping; and on a bad one."""

import time

import pytest

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.model.secret import Secret, SecretLocation
from factory.secrets import setup
from factory.secrets.lease import role
from factory.secrets.openbao import OpenBao
from tests.secrets.servers import DevServer
from tests.stub_server import Answer, saying

VALUE = "planted-value-51b0"


@pytest.fixture(scope="session")
def ready(openbao: DevServer) -> DevServer:
    """Return the server with mount, policies and AppRoles."""
    setup.configure(OpenBao(openbao.url, token=Secret(openbao.token)), ["production", "staging"])
    return openbao


@pytest.fixture
def root(ready: DevServer) -> OpenBao:
    return OpenBao(ready.url, token=Secret(ready.token))


def machine(ready: DevServer, root: OpenBao, name: str) -> OpenBao:
    """Return a connection that is logged in as a machine of this role."""
    role_id, secret_id = setup.machine(root, name)
    made = OpenBao(ready.url)
    made.login_approle(role_id, secret_id)
    return made


def place(path: str) -> SecretLocation:
    return SecretLocation(path.rsplit("/", 1)[-1], path)


def test_versions_and_check_and_set(root: OpenBao) -> None:
    one = place("plan/versions")
    assert root.put(one, Secret(VALUE), version=0) == 1
    assert root.put(one, Secret(VALUE + "2"), version=1) == 2
    with pytest.raises(Conflict, match="not at version 1"):
        root.put(one, Secret("third"), version=1)
    found = root.get(one)
    assert (found.value.reveal(), found.version) == (VALUE + "2", 2)
    assert [item.number for item in root.history(one.path)] == [1, 2]
    assert root.history("plan/none") == ()


def test_names_of_all_folders(root: OpenBao) -> None:
    for path in ("apply/listed/b", "apply/listed/deep/a"):
        root.put(place(path), Secret(VALUE))
    assert root.names("apply/listed/") == ("apply/listed/b", "apply/listed/deep/a")
    assert root.names("nothing/") == ()


def test_what_is_not_there_and_what_is_no_secret_of_ours(root: OpenBao) -> None:
    with pytest.raises(NotFound) as missing:
        root.get(place("plan/missing"))
    assert "factory secrets put" in missing.value.hint
    root.write("factory/data/plan/odd", {"data": {"other": "x"}})
    with pytest.raises(InvalidInput, match="no text in the field 'value'"):
        root.get(place("plan/odd"))


def test_a_machine_reads_its_own_folder_alone(ready: DevServer, root: OpenBao) -> None:
    for path in ("plan/a", "apply/production/a", "apply/staging/a"):
        root.put(place(path), Secret(VALUE))
    planner, deployer = machine(ready, root, role()), machine(ready, root, role("production"))
    assert planner.get(place("plan/a")).value.reveal() == VALUE
    assert deployer.get(place("apply/production/a")).value.reveal() == VALUE
    for who, path in ((planner, "apply/production/a"), (deployer, "apply/staging/a"), (deployer, "plan/a")):
        with pytest.raises(Refused, match="HTTP 403"):
            who.get(place(path))
    with pytest.raises(Refused):
        planner.put(place("plan/a"), Secret("other"))


def test_a_lease_is_short_and_can_be_renewed_and_revoked(ready: DevServer, root: OpenBao) -> None:
    planner = machine(ready, root, role())
    assert planner.lookup()["ttl"] <= setup.LEASE_SECONDS
    assert planner.renew(setup.LEASE_SECONDS).seconds <= setup.LEASE_SECONDS
    planner.revoke()
    with pytest.raises(Unauthorized) as refused:
        planner.get(place("plan/a"))
    assert "factory secrets login" in refused.value.hint


def test_a_wrong_token_and_a_wrong_pair(ready: DevServer, root: OpenBao) -> None:
    with pytest.raises(Unauthorized):
        OpenBao(ready.url, token=Secret("wrong-token")).get(place("plan/a"))
    with pytest.raises(Unauthorized):
        OpenBao(ready.url).get(place("plan/a"))
    role_id, secret_id = setup.machine(root, role())
    with pytest.raises(Unauthorized):
        OpenBao(ready.url).login_approle(role_id, Secret("wrong"))
    with pytest.raises(Unauthorized):
        OpenBao(ready.url).login_approle("wrong", secret_id)


def test_what_is_wrapped_is_given_once(ready: DevServer, root: OpenBao) -> None:
    token = root.wrap({"a": Secret(VALUE)}, seconds=60)
    assert OpenBao(ready.url).unwrap(token) == {"a": Secret(VALUE)}
    with pytest.raises(Refused, match="already used"):
        OpenBao(ready.url).unwrap(token)
    role_id, wrapped = setup.machine(root, role(), wrapped=60)
    opened = OpenBao(ready.url).unwrap(wrapped)["secret_id"]
    assert OpenBao(ready.url).login_approle(role_id, opened).policies == ("default", "factory-plan")


def test_the_setup_may_be_done_again_by_the_operator(ready: DevServer, root: OpenBao) -> None:
    operator = machine(ready, root, setup.OPERATOR)
    setup.configure(operator, ["production", "staging", "preview"])
    operator.put(place("apply/preview/a"), Secret(VALUE))
    assert machine(ready, root, role("preview")).get(place("apply/preview/a")).value.reveal() == VALUE
    with pytest.raises(Refused):
        operator.write("sys/policies/acl/other", {"policy": ""})


@pytest.mark.parametrize("status", [429, 502])
def test_a_read_is_tried_again(status: int) -> None:
    good = {"data": {"data": {"value": VALUE}, "metadata": {"version": 3, "created_time": "t"}}}
    with saying(lambda _m, _p, n: Answer(200, body=good) if n == 2 else Answer(status)) as stub:
        assert OpenBao(stub.url, token=Secret("t")).get(place("plan/a")).version == 3
    assert len(stub.asked) == 3


@pytest.mark.long
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_keeps_failing_is_told_in_time(status: int) -> None:
    with saying(lambda *_: Answer(status, body={"errors": ["no quorum"]})) as stub:
        started = time.monotonic()
        with pytest.raises(Unreachable, match=f"no quorum.*{status}"):
            OpenBao(stub.url, token=Secret("t")).get(place("plan/a"))
        assert time.monotonic() - started < 30
    assert len(stub.asked) == 4


def test_a_write_is_not_repeated_where_it_may_have_been_done() -> None:
    with saying(lambda *_: Answer(500)) as stub:
        with pytest.raises(Unreachable, match="it is unknown whether the write was done"):
            OpenBao(stub.url, token=Secret("t")).put(place("plan/a"), Secret(VALUE), version=1)
        assert len(stub.asked) == 1


def test_the_pause_is_the_one_that_the_server_asks_for() -> None:
    good = {"data": {"version": 2}}
    with saying(lambda _m, _p, n: Answer(200, body=good) if n else Answer(429, {"Retry-After": "1"})) as stub:
        assert OpenBao(stub.url, token=Secret("t")).put(place("plan/a"), Secret(VALUE), version=1) == 2
    assert stub.asked[1][2] - stub.asked[0][2] >= 1
    with saying(lambda *_: Answer(429, {"Retry-After": "3600"})) as stub:
        with pytest.raises(Unreachable):
            OpenBao(stub.url, token=Secret("t")).put(place("plan/a"), Secret(VALUE), version=1)
        assert len(stub.asked) == 1


def test_a_server_that_is_slow_or_not_there() -> None:
    with saying(lambda *_: Answer(200, delay=2)) as stub, pytest.raises(Unreachable, match="did not answer"):
        OpenBao(stub.url, token=Secret("t"), timeout=0.3).get(place("plan/a"))
    with pytest.raises(Unreachable, match="did not answer"):
        OpenBao("http://127.0.0.1:9", token=Secret("t")).health()


def test_errors_repeat_nothing_that_was_sent() -> None:
    with saying(lambda *_: Answer(400, body={"errors": [f"bad {VALUE} and planted-token"]})) as stub:
        client = OpenBao(stub.url, token=Secret("planted-token"))
        with pytest.raises(FactoryError) as refused:
            client.put(place("plan/a"), Secret(VALUE))
        assert str(refused.value).count("[hidden]") == 2
        assert VALUE not in f"{refused.value!r} {refused.value.hint} {refused.value.__cause__!r}"


def test_health_needs_no_token(ready: DevServer) -> None:
    found = OpenBao(ready.url).health()
    assert (found.initialized, found.sealed, found.active) == (True, False, True)


@pytest.mark.parametrize("address", ["http://bao.example:8200", "ftp://127.0.0.1.example", "bao.example"])
def test_secrets_never_cross_a_network_unencrypted(address: str) -> None:
    with pytest.raises(Refused, match="unencrypted"):
        OpenBao(address)
    assert OpenBao("https://bao.example:8200").address == "https://bao.example:8200"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, body={}),
        Answer(200, body=[]),
        Answer(200, {"Content-Type": "text/html"}),
        Answer(302, {"Location": "http://elsewhere.example/"}),
    ],
    ids=["empty", "list", "page", "redirect"],
)
def test_what_is_no_openbao_is_told(answer: Answer) -> None:
    with saying(lambda *_: answer) as stub:
        client = OpenBao(stub.url, token=Secret("planted-token"))
        for call in (client.health, client.lookup, lambda: client.get(place("plan/a")), lambda: client.renew(1)):
            with pytest.raises(Unreachable, match="is not OpenBao"):
                call()
        with pytest.raises(Unreachable):
            client.login_jwt("x", Secret("planted-jwt"))
