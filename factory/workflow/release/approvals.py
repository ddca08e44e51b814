"""Which approvals of a merge request or a deployment count, and how many are needed."""

from collections.abc import Sequence

from factory.errors import Refused
from factory.gitlab import pipelines
from factory.model.gitlab import Approval, MergeRequest
from factory.policies.model import Policies
from factory.workflow.context import SIMULATED_APPROVER, Context
from factory.workflow.release import pipeline_watch


def required(context: Context, request: MergeRequest, policies: Policies, given: int) -> int:
    """Return how many approvals a merge request needs: the number that its verdict gives for the risks of the change.

    The verdict is read only if ``given`` approvals would suffice without risks. Without a verdict, every risk applies.
    """
    least = policies.approvals.merge.required
    most = max([least, *(risk.required for risk in policies.approvals.risks.values())])
    if given < least or most == least:
        return least
    found = [item for item in pipelines.of_merge_request(context.bot, request.iid) if item.sha == request.sha]
    decision = pipeline_watch.verdict(context.bot, found[0].id) if found else None
    return decision.needed.approvals if decision and decision.needed else most


def counting(
    context: Context,
    approvals: Sequence[Approval],
    request: MergeRequest,
    policies: Policies,
    *,
    own: bool,
    approvers: Sequence[str] = (),
) -> list[Approval]:
    """Return the approvals that count: not an agent's or the factory's own; a simulated one only here.

    The author's counts only if policy allows it and the change is the author's ``own``. Where ``approvers`` are named,
    nobody else counts, but for the rehearsal against a simulator. Raises ``Refused`` where the rehearsal account
    approved on a server that is not a simulator.
    """
    author = () if own and policies.approvals.merge.own == "allow" else (request.author,)
    named = (context.agent.account, context.bot.account, *policies.scope.agents, *author)
    excluded = {name.casefold() for name in named}
    found = [item for item in approvals if item.username.casefold() not in excluded]
    if approvers:
        found = [item for item in found if item.username in {*approvers, SIMULATED_APPROVER}]
    if not context.accounts.simulator and any(item.username == SIMULATED_APPROVER for item in found):
        raise Refused("a simulated approval counts only against a simulator")
    return found


def approval_type(approver: str, author: str) -> str:
    """Return how evidence names an approver's decision about a merge request of ``author``."""
    if approver == SIMULATED_APPROVER:
        return "simulated"
    return "own" if approver.casefold() == author.casefold() else "human"
