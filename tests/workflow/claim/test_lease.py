"""A lease as it stands in git: what one process writes, another reads."""

import json
from pathlib import Path

import pytest

from factory.errors import Conflict
from factory.model.issue import FrozenIssue
from factory.workflow.claim import lease as leases
from factory.workflow.claim.lease import Lease
from factory.worktrees.repository import Author, Mirror, run
from tests.servers import git

BOT = Author("bot", "bot@localhost")
HELD = Lease(7, "s-1", "host/1", "2026-01-01T00:00:00Z", 1)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    git("init", "-q", "--bare", "server.git", cwd=tmp_path)
    made = Mirror(tmp_path / "mirror.git", str(tmp_path / "server.git"))
    made.ensure()
    return made


def frozen() -> FrozenIssue:
    return FrozenIssue(7, "a", "b", "me", "owner", "hello", warnings=("w",))


def test_what_is_written_is_read_and_said_in_the_commit(mirror: Mirror) -> None:
    first = leases.write(mirror, HELD, frozen(), author=BOT, token="t")
    assert leases.read(mirror, 7) == (first, frozen())
    assert (first.branch, first.commit) == ("factory/leases/7", mirror.head("factory/leases/7"))
    assert json.loads(mirror.read(first.commit, "lease.json")) == {
        "expires_at": "2026-01-01T00:00:00Z",
        "holder": "host/1",
        "issue": 7,
        "not_before": "",
        "released": False,
        "session": "s-1",
        "token": 1,
    }
    released = Lease(7, "s-1", "host/1", "2026-01-01T00:00:00Z", 2, released=True, commit=first.commit)
    second = leases.write(mirror, released, frozen(), author=BOT, token="t")
    told = run(mirror.path, "log", "--format=%s", second.commit)
    assert told == "release issue 7 for session s-1\nhold issue 7 for session s-1"


def test_who_comes_second_is_told(mirror: Mirror) -> None:
    leases.write(mirror, HELD, frozen(), author=BOT, token="t")
    with pytest.raises(Conflict):
        leases.write(
            mirror, HELD, FrozenIssue(7, "other", "b", "me", "owner", "hello", warnings=()), author=BOT, token="t"
        )


def test_an_issue_without_a_readable_lease_has_none(mirror: Mirror) -> None:
    assert leases.read(mirror, 7) is None
    mirror.push(mirror.commit({"lease.json": b"{}"}, parent=None, message="x", author=BOT), "factory/leases/7", "t")
    assert leases.read(mirror, 7) is None
