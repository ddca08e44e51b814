"""Tests of the ledger on the loopback GitLab: concurrent factories see each other, and only the bot may write."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import Conflict, FactoryError, InvalidInput, Refused
from factory.gitlab import bootstrap, issues
from factory.gitlab.connect import connect
from factory.policies.agents import Cap
from factory.policies.model import Policies
from factory.workflow.budget import budget, ledger
from factory.workflow.budget.budget import RESERVED, SPENT, Denial, Entry, Reservation
from factory.workflow.context import Context
from factory.worktrees.repository import Author, Mirror
from tests.policies.shipped import POLICIES
from tests.servers import LocalGitlab
from tests.workflow.loopback import context


def capped(tokens: int) -> Policies:
    """Return the policies with this limit of tokens per day."""
    caps = POLICIES.budgets.caps.model_copy(update={"day": Cap(tokens=tokens, usd=50)})
    return POLICIES.model_copy(update={"budgets": POLICIES.budgets.model_copy(update={"caps": caps})})


def entry(issue: int, *, tokens: int = 100, day: str = "2026-11-20", number: int = 1, state: str = RESERVED) -> Entry:
    return Entry(f"{issue}/s{issue}/{number}", issue, f"s{issue}", day, "a", "m", state, tokens, 0)


@pytest.fixture
def one(gitlab_server: LocalGitlab, tmp_path: Path) -> Context:
    return context(gitlab_server, tmp_path / "one", {"README.md": b"x\n"})


def another(one: Context, folder: Path) -> Context:
    """Return a second factory with its own mirror."""
    mirror = Mirror(folder / "mirror.git", one.mirror.url)
    mirror.ensure()
    second = replace(one, mirror=mirror, machine=replace(one.machine, state=folder))
    second.fetch()
    return second


@pytest.mark.long
def test_two_factories_see_each_others_reservations(one: Context, tmp_path: Path) -> None:
    two = another(one, tmp_path / "two")
    assert isinstance(ledger.reserve(one, capped(150), entry(1), increases=()), Reservation)
    ruling = ledger.reserve(two, capped(150), entry(2), increases=())
    assert isinstance(ruling, Reservation)
    assert ruling.amount.tokens == 50, "the second factory must count the first reservation"
    denied = ledger.reserve(one, capped(150), entry(3), increases=())
    assert isinstance(denied, Denial)
    assert not denied.exhausted
    ledger.settle(two, entry(2, tokens=5, state=SPENT))
    assert isinstance(ledger.reserve(one, capped(150), entry(3), increases=()), Reservation), (
        "the settlement by the other factory must count"
    )


@pytest.mark.long
def test_a_race_never_exceeds_the_limit(one: Context, tmp_path: Path) -> None:
    factories = [one, *(another(one, tmp_path / f"f{number}") for number in range(3))]
    policies = capped(250)
    rulings: list[Reservation | Denial] = []
    gate = threading.Barrier(len(factories))

    def admit(number: int, where: Context) -> None:
        gate.wait()
        rulings.append(ledger.reserve(where, policies, entry(number + 1), increases=()))

    threads = [threading.Thread(target=admit, args=pair) for pair in enumerate(factories)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.fetch()
    entries = ledger.read(one)
    assert sum(item.tokens for item in entries) == 250
    assert sorted(ruling.amount.tokens for ruling in rulings if isinstance(ruling, Reservation)) == [50, 100, 100]
    assert sum(isinstance(ruling, Denial) for ruling in rulings) == 1


def test_reserving_and_settling_are_idempotent(one: Context) -> None:
    for _ in range(2):
        ledger.reserve(one, POLICIES, entry(1), increases=())
    head = one.mirror.head(ledger.BRANCH)
    for _ in range(2):
        ledger.settle(one, entry(1, tokens=7, state=SPENT))
    assert [(item.tokens, item.state) for item in ledger.read(one)] == [(7, SPENT)]
    assert len(one.mirror.messages(f"{head}..{one.mirror.head(ledger.BRANCH)}")) == 1


def test_a_settlement_counts_for_the_day_of_the_reservation(one: Context) -> None:
    ledger.reserve(one, POLICIES, entry(1, day="2026-11-30"), increases=())
    ledger.settle(one, entry(1, tokens=7, day="2026-12-01", state=SPENT))
    assert [(item.day, item.tokens) for item in ledger.read(one)] == [("2026-11-30", 7)]


def test_an_attempt_resumed_in_another_month_has_one_entry(one: Context) -> None:
    ledger.reserve(one, POLICIES, entry(1, day="2026-11-30"), increases=())
    ledger.reserve(one, POLICIES, entry(1, day="2026-12-01"), increases=())
    assert [item.day for item in ledger.read(one)] == ["2026-12-01"]


def write(where: Context, token: str, content: bytes) -> None:
    mirror = where.mirror
    commit = mirror.commit(
        {"2026-11.json": content}, parent=mirror.head(ledger.BRANCH), message="x\n", author=Author("x", "x@localhost")
    )
    mirror.push(commit, ledger.BRANCH, token)


BROKEN: Sequence[bytes] = (b"", b"{}", b"nonsense", b"\xff\xfe", b"[1]", b'[{"key": "x"}]', b"[" * 100_000, b"null")


def test_an_unreadable_ledger_stops_spending(one: Context) -> None:
    for content in BROKEN:
        write(one, one.accounts.bot_token, content)
        with pytest.raises(InvalidInput, match="factory/ledger cannot be read") as caught:
            ledger.read(one)
        assert "older commit" in caught.value.hint
    with pytest.raises(InvalidInput):
        ledger.reserve(one, POLICIES, entry(1), increases=())
    with pytest.raises(InvalidInput):
        ledger.settle(one, entry(1))


def test_only_the_bot_may_push(one: Context) -> None:
    ledger.reserve(one, POLICIES, entry(1), increases=())
    with pytest.raises(Refused):
        write(one, one.accounts.agent_token, b"[]")
    behind = one.mirror.commit({"2026-11.json": b"[]"}, parent=None, message="x\n", author=one.bot_author)
    with pytest.raises(FactoryError) as caught:
        one.mirror.push(behind, ledger.BRANCH, one.accounts.bot_token)
    assert isinstance(caught.value, Conflict | Refused)


def test_only_notes_of_maintainers_increase_a_budget(one: Context, gitlab_server: LocalGitlab) -> None:
    issue = issues.create(one.bot, title="t", description="", labels=[])
    said = ledger.increase_note(1000, 2.5)
    root = connect(gitlab_server.url, one.bot.project_path, account="root", token=gitlab_server.root_token)
    for level, name in ((30, "developer"), (40, "maintainer")):
        user, token = gitlab_server.user(name)
        bootstrap.member(root, user.id, level)
        theirs = connect(gitlab_server.url, one.bot.project_path, account=user.username, token=token)
        theirs.client.http_post(f"{theirs.api}/issues/{issue.iid}/notes", post_data={"body": said})
    for machine in (one.bot, one.agent):
        machine.client.http_post(f"{machine.api}/issues/{issue.iid}/notes", post_data={"body": said})
    (increase,) = ledger.increases(one, POLICIES, issue.iid)
    assert (increase.tokens, increase.usd_micros) == (1000, 2_500_000)
    assert increase.by.startswith("maintainer")
    state_ = ledger.states(one, POLICIES, issue=issue.iid, session="s")[1]
    assert state_.cap.tokens == POLICIES.budgets.caps.issue.tokens + 1000
    assert budget.dollars(increase.usd_micros) == "2.50 USD"
