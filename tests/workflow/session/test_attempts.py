"""What an attempt checks before it writes anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import Unauthorized
from factory.model.attempt import Escalation
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.session.attempts import Attempts
from factory.workflow.session.next_move import WORK, Move
from tests.workflow.recorded_gitlab import world
from tests.workflow.test_deliver import worked


@pytest.mark.parametrize(
    ("move", "last"),
    [(Move(WORK, 2, Escalation.STRONGER), "opencode"), (Move(WORK, 2, down=("claude",)), "claude")],
    ids=["stronger", "instead"],
)
def test_another_agent_without_credential_is_found_before_anything_is_written(
    tmp_path: Path, move: Move, last: str
) -> None:
    made = world(tmp_path, "claimed")
    context, policies = made.context, made.context.policies()
    agents = policies.agents.agents
    assert "codex" in {agents[last].stronger, agents[last].instead}
    lease = HeldLease(context, made.session, minutes=5)
    ledger = context.mirror.head("factory/ledger")
    first = worked(made)
    first = replace(first, agent=replace(first.agent, name=last))
    before = {path: path.stat().st_mtime_ns for path in made.session.folder.rglob("*")}
    with pytest.raises(Unauthorized, match=r"the credential .* is not set"):
        Attempts(context, made.session, policies, lease).work(move, first)
    assert {path: path.stat().st_mtime_ns for path in made.session.folder.rglob("*")} == before
    assert context.mirror.head("factory/ledger") == ledger
    assert made.gitlab.sent == []
