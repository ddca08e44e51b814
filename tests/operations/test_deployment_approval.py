"""Tests of a person's approval of a deployment, on recorded answers of GitLab."""

from pathlib import Path

import pytest

from factory.errors import Refused
from factory.gitlab import deployments
from factory.operations import deployment_approval
from tests.workflow.recorded_gitlab import World, world

WAITING = 4


@pytest.fixture
def planned(tmp_path: Path) -> World:
    made = world(tmp_path, "planned")
    made.gitlab.change(f"deployments/{WAITING}", approvals=[])
    return made


def approve(made: World) -> str:
    bot = made.context.bot
    found = deployments.get(bot, WAITING)
    digest, _ = deployment_approval.saved_plan(bot, found)
    deployment_approval.approve(bot, found, digest, destroy="")
    return digest


def test_without_gitlabs_approvals_the_job_is_started_with_the_manifest(planned: World) -> None:
    digest = approve(planned)
    (play,) = planned.gitlab.sent
    given = {item["key"]: item["value"] for item in play.body["job_variables_attributes"]}
    assert given == {"APPROVED_MANIFEST": digest, "ALLOWED_DESTROY": ""}


def test_a_blocked_deployment_is_approved_in_gitlab(planned: World) -> None:
    planned.gitlab.change(f"deployments/{WAITING}", status="blocked")
    digest = approve(planned)
    (sent,) = planned.gitlab.sent
    assert (sent.path, sent.body["comment"]) == (f"deployments/{WAITING}/approval", f"manifest {digest}")


@pytest.mark.parametrize("status", ["created", "blocked"])
@pytest.mark.parametrize(("ref", "tag"), [("factory/1-abc", False), ("main", True), ("refs/heads/main", False)])
def test_what_is_not_of_the_protected_branch_is_refused(planned: World, status: str, ref: str, *, tag: bool) -> None:
    deployable = planned.gitlab.answers[f"deployments/{WAITING}"]["deployable"]
    planned.gitlab.change(f"deployments/{WAITING}", status=status, ref=ref, deployable={**deployable, "tag": tag})
    with pytest.raises(Refused, match="not of the branch main"):
        approve(planned)
    assert planned.gitlab.sent == []
