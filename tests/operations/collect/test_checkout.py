"""Whose files name the packages that are installed for a change's tests."""

from pathlib import Path

import pytest

from factory.model.facts import Change, Origin
from factory.model.session import branches_of
from factory.operations.collect.checkout import checkout, names_packages
from factory.policies.folder import read_folder
from tests.servers import ROOT, TOOL_ENV, git

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


def test_a_change_is_compared_with_main_whatever_its_merge_request_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hostile: what is on the side is never judged if the change is compared with it, and may be sent to main later."""
    git("init", "-q", "-b", "main", cwd=tmp_path)
    commits = []
    for branch in ("main", "side", "mine"):
        git("checkout", "-q", "-B", branch, cwd=tmp_path)
        (tmp_path / branch).write_text("x")
        git("add", "-A", cwd=tmp_path)
        git("commit", "-qm", branch, cwd=tmp_path)
        commits.append(git("rev-parse", "HEAD", cwd=tmp_path).stdout.strip())
    main, side, mine = commits
    monkeypatch.chdir(tmp_path)
    given = {**TOOL_ENV, "CI": "true", "CI_MERGE_REQUEST_IID": "1", "CI_MERGE_REQUEST_DIFF_BASE_SHA": side}
    place = checkout(given, main, target=main)
    assert (place.base, place.head) == (main, mine)


def test_the_pipeline_names_the_commit_with_which_its_judge_compares() -> None:
    text = (ROOT / ".gitlab-ci.yml").read_text()
    judging = [line for line in text.splitlines() if " gate check " in line or " infra plan " in line]
    assert len(judging) >= 3
    assert all('--base "$JUDGE_SHA"' in line or '--base "$BASE"' in line for line in judging)
    assert 'BASE="$(git merge-base "$JUDGE_SHA" HEAD)"' in text
