"""The digests that an approval names: of the head commit, the spec, the policies and the plan."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from factory.errors import InvalidInput, NotFound
from factory.operations import saved_plan
from factory.specs.read import Spec
from factory.workflow.claim import issue_spec
from factory.workflow.context import Context

# What a digest says if there is nothing that it could name.
NONE = "none"

_LINE = re.compile(r"- ([a-z]+): `(.*)`")


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
    """Return the digests that an approval of ``head`` names now; raises ``NotFound`` if there is no plan.

    A change made by hand has no issue (0). Its spec is the head's, because it may bring its spec along.
    """
    main = context.main()
    named = spec_of(context, main if issue else head, name=spec, issue=issue)
    saved = saved_plan.of(context.bot, pipeline)
    return ApprovalDigests(
        str(issue) if issue else NONE,
        head,
        named.digest if named else NONE,
        context.policies(main).digest,
        saved.combined or NONE,
    )


def spec_of(context: Context, commit: str, *, name: str, issue: int) -> Spec | None:
    """Return the spec of an issue at a commit; raises ``NotFound`` or ``InvalidInput``.

    Of a change made by hand (``issue`` is 0), return the spec that it names, or ``None`` if there is none to read.
    """
    try:
        return issue_spec.of_issue(context, commit, name=name, issue=issue) if issue or name else None
    except (NotFound, InvalidInput):
        if issue:
            raise
        return None


def read(lines: Sequence[str]) -> ApprovalDigests | None:
    """Return the digests in a note's lines, as ``lines`` wrote them; ``None`` if one is missing."""
    found = {match[1]: match[2] for line in lines if (match := _LINE.fullmatch(line))}
    try:
        return ApprovalDigests(**{field.name: found[field.name] for field in fields(ApprovalDigests)})
    except KeyError:
        return None
