"""What an issue wants: the spec that it names, or, for a small issue, the acceptance list in its own text."""

from factory.errors import InvalidInput, NotFound
from factory.model.issue import SMALL, FrozenIssue
from factory.specs import lint
from factory.specs import read as specs
from factory.workflow.claim import lease
from factory.workflow.context import Context

_FORM = """---
id: small
title: Issue {iid}
status: decided
version: 1
owner: somebody
---

# Issue {iid}

## Outcome

{text}
"""


def unready(context: Context, frozen: FrozenIssue) -> str:
    """Return why an issue can't be given to an agent (its spec is missing, undecided or unclear), or nothing."""
    if not frozen.spec:
        return (
            "it names no spec; add a line `Spec: <id>` that names a file of specs/ (for a small change, the label "
            "`factory::small` and a list of what must hold afterwards)"
        )
    if frozen.spec == SMALL:
        return ""
    main = context.main()
    try:
        found = spec(context, main, frozen)
    except (NotFound, InvalidInput) as error:
        return str(error)
    if found.status != "decided":
        return f"spec {found.id} is {found.status}, not decided"
    path = specs.path_of(found.id)
    known = set(context.mirror.paths(main))
    findings = lint.lint({path: context.mirror.read(main, path)}, exists=known.__contains__)
    if not findings:
        return ""
    first = findings[0]
    more = f" (and {len(findings) - 1} more; see `factory spec lint {path}`)" if len(findings) > 1 else ""
    return f"its spec would make an agent guess: {first.path}:{first.line}: {first.message}{more}"


def spec(context: Context, commit: str, frozen: FrozenIssue) -> specs.Spec:
    """Return what the issue wants as of a commit; raises ``NotFound`` or ``InvalidInput``."""
    if frozen.spec == SMALL:
        text = "\n".join(f"> {line}" for line in frozen.text.splitlines())
        content = _FORM.format(iid=frozen.iid, text=text)
        return specs.read(content.encode(), source=f"issue #{frozen.iid}")
    path = specs.path_of(frozen.spec)
    return specs.read(context.mirror.read(commit, path), source=path)


def of_issue(context: Context, commit: str, *, name: str, issue: int) -> specs.Spec:
    """Return what a merge request's issue wants, as the lease froze it; raises ``NotFound`` or ``InvalidInput``."""
    if name != SMALL:
        path = specs.path_of(name)
        return specs.read(context.mirror.read(commit, path), source=path)
    found = lease.read(context.mirror, issue)
    if found is None:
        raise NotFound(f"#{issue} was never claimed")
    return spec(context, commit, FrozenIssue.from_json(found[1]))
