"""Whose files name the packages that are installed for a change's tests."""

import pytest

from factory.model.facts import Change, Origin
from factory.model.session import branches_of
from factory.operations.collect.checkout import names_packages
from factory.policies.folder import read_folder
from tests.servers import ROOT

POLICIES = read_folder(ROOT)
ROBOT = POLICIES.scope.agents[0]


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (Origin("jane", ("jane",), "fix"), True),
        (Origin(ROBOT, (ROBOT,), "fix"), False),
        (Origin("jane", ("jane", ROBOT.upper()), "fix"), False),
        (Origin("jane", ("jane",), f"{branches_of(7)}0a1b2c3d"), False),
        (Origin(branch="fix", problem="this job has no token"), True),
        (Origin(branch=f"{branches_of(7)}0a1b2c3d", problem="this job has no token"), False),
        (Origin(branch="Factory/7-0a1b2c3d", problem="this job has no token"), False),
        (Origin(), False),
    ],
)
def test_the_account_decides_and_without_it_the_branch_of_a_session(origin: Origin, *, own: bool) -> None:
    assert names_packages(Change("b", "h", (), origin=origin), POLICIES) is own
