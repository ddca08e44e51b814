"""The digests that an approval names: of the head commit, the spec, the policies and the plan."""

from dataclasses import asdict, dataclass

from factory.operations import saved_plan
from factory.workflow.claim import issue_spec
from factory.workflow.context import Context

NO_PLAN = "none"


@dataclass(frozen=True)
class ApprovalDigests:
    """The issue and the digests that an approval names; a change of any of them voids the approval."""

    issue: str
    head: str
    spec: str
    policy: str
    plan: str

    def lines(self) -> list[str]:
        """Return a markdown list."""
        return [f"- {name}: `{value}`" for name, value in asdict(self).items()]


def current(context: Context, *, head: str, spec: str, issue: int, pipeline: int) -> ApprovalDigests:
    """Return the digests that an approval of ``head`` names now; raises ``NotFound`` if there is no plan."""
    main = context.main()
    found = issue_spec.of_issue(context, main, name=spec, issue=issue)
    saved = saved_plan.of(context.bot, pipeline)
    return ApprovalDigests(str(issue), head, found.digest, context.policies(main).digest, saved.combined or NO_PLAN)
