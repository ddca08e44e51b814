"""The state in GitLab: one lock with an owner and an end, and clear words where something is wrong with it."""

import json

import pytest

from factory.errors import Conflict, InvalidInput, Refused, Unauthorized, Unreachable
from factory.system import clock
from factory.terraform.state import Lock, State, describe, identity, read_lock
from tests.servers import LocalGitlab, free_port


@pytest.fixture
def state(gitlab_server: LocalGitlab) -> State:
    project = gitlab_server.project().id
    address = f"{gitlab_server.url}/api/v4/projects/{project}/terraform/state/production"
    return State(address, username="root", token=gitlab_server.root_token)


def body(serial: int) -> bytes:
    return json.dumps({"version": 4, "serial": serial, "lineage": "l", "resources": []}).encode()


def test_a_state_is_written_under_a_lock_only(state: State) -> None:
    assert state.read() == b""
    assert state.identity().serial == 0
    lock = state.lock(who="job 1 of pipeline 1", operation="apply", minutes=5)
    state.write(body(1), lock)
    with pytest.raises(Refused, match="not accepted"):
        state.write(body(2), Lock("other", "somebody", "apply", ""))
    state.unlock(lock)
    with pytest.raises(Refused, match="not accepted"):
        state.write(body(2), lock)
    assert state.identity() == identity(body(1))


def test_who_waits_is_told_whose_lock_it_is_and_until_when(state: State) -> None:
    with state.held(who="job 7 of pipeline 3", operation="apply", minutes=5) as lock:
        with pytest.raises(
            Conflict, match=f"by job 7 of pipeline 3 for apply since .*, until {lock.expires}"
        ) as refused:
            state.lock(who="job 8 of pipeline 4", operation="apply", minutes=5)
        assert "factory infra unlock" in refused.value.hint
        assert state.holder() == lock
    assert state.holder() is None


def test_a_lock_that_was_taken_over_is_not_given_back(state: State) -> None:
    lock = state.lock(who="a", operation="apply", minutes=5)
    state.unlock(lock)
    with (
        state.held(who="b", operation="apply", minutes=5),
        pytest.raises(Conflict, match="the lock was lost: it is held by b"),
    ):
        state.unlock(lock)


def test_a_lock_knows_its_end() -> None:
    past, ahead = (clock.iso(clock.after(seconds)) for seconds in (-60, 60))
    assert Lock("1", "a", "apply", past, past).expired()
    assert not Lock("1", "a", "apply", past, ahead).expired()
    assert not Lock("1", "a", "apply", past).expired()
    assert "until" not in describe(Lock("1", "a", "apply", past))
    assert describe(None) == "by an unknown holder"


@pytest.mark.parametrize("data", [b"", b"x", b"[]", b"{}", b'{"ID": ""}'])
def test_what_is_no_lock_is_none(data: bytes) -> None:
    assert read_lock(data) is None


def test_terraforms_own_lock_has_no_end() -> None:
    found = read_lock(b'{"ID": "1", "Who": "me@host", "Operation": "OperationTypeApply", "Created": "now", "Info": ""}')
    assert found is not None
    assert (found.who, found.expires) == ("me@host", "")


@pytest.mark.parametrize("data", [b"x", b"[]", b'{"serial": "x"}', b'{"serial": null}'])
def test_a_state_that_is_not_readable(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not readable"):
        identity(data)


@pytest.mark.long
def test_a_wrong_token_and_a_server_that_is_not_there(state: State) -> None:
    with pytest.raises(Unauthorized, match="does not accept the token"):
        State(state.address, username="root", token="wrong").lock(who="a", operation="apply", minutes=1)
    gone = State(f"http://127.0.0.1:{free_port()}/state", username="root", token="x")
    with pytest.raises(Unreachable, match="the state backend does not answer"):
        gone.read()
