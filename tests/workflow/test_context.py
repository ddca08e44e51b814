"""The context of the workflow: which policies hold at a commit."""

import io
import zipfile
from pathlib import Path

import pytest

from factory.errors import InvalidInput
from factory.policies import read
from factory.worktrees.repository import Author
from tests.workflow.recorded_gitlab import World, world

WHEEL = ".gitlab/factory/factory-0.0.1-py3-none-any.whl"
BUDGETS = "policies/budgets.yml"


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path, "claimed")


def commit(made: World, wheel: bytes) -> str:
    """Commit a wheel, and no policy of budgets of its own."""
    mirror, main = made.context.mirror, made.context.main()
    author = Author("Jane", "jane@example.com")
    return mirror.commit({WHEEL: wheel, BUDGETS: None}, parent=main, message="Carry a wheel\n", author=author)


def test_the_wheel_of_a_commit_says_what_an_absent_policy_is(here: World) -> None:
    mirror, main = here.context.mirror, here.context.main()
    budgets = mirror.read(main, BUDGETS).replace(b"attempts: 4", b"attempts: 3")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"factory/defaults/{BUDGETS}", budgets)
    found = here.context.policies(commit(here, buffer.getvalue()))
    assert (found.budgets.attempts, here.context.policies().budgets.attempts) == (3, 4)
    assert found.digest == read.digest({**mirror.tree(main, "policies/"), BUDGETS: budgets})


def test_a_default_that_this_version_cannot_read_counts_by_its_digest_alone(here: World) -> None:
    mirror, main = here.context.mirror, here.context.main()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"factory/defaults/{BUDGETS}", "tries: 4\n")
    found = here.context.policies(commit(here, buffer.getvalue()))
    assert found.budgets == here.context.policies().budgets
    assert found.digest == read.digest({**mirror.tree(main, "policies/"), BUDGETS: b"tries: 4\n"})


def test_a_damaged_wheel_is_told(here: World) -> None:
    with pytest.raises(InvalidInput, match=r"the wheel in \.gitlab/factory is damaged"):
        here.context.policies(commit(here, b"no wheel"))
