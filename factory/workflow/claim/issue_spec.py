"""Reads the requirements of an issue: the spec that it names or, for a small issue, its own acceptance list."""

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
    """Return why an agent cannot work on an issue (its spec is missing, undecided or unclear), or an empty string."""
    if not frozen.spec:
        return (
            "it names no spec; add a line `Spec: <id>` that names a file in specs/ (for a small change, add the label "
            "`factory-small` and an acceptance list instead)"
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
    return f"its spec is unclear: {first.path}:{first.line}: {first.message}{more}"


def spec(context: Context, commit: str, frozen: FrozenIssue) -> specs.Spec:
    """Return the spec of an issue at a commit; raises ``NotFound`` or ``InvalidInput``."""
    if frozen.spec == SMALL:
        text = "\n".join(f"> {line}" for line in frozen.text.splitlines())
        content = _FORM.format(iid=frozen.iid, text=text)
        return specs.read(content.encode(), source=f"issue #{frozen.iid}")
    path = specs.path_of(frozen.spec)
    return specs.read(context.mirror.read(commit, path), source=path)


def of_issue(context: Context, commit: str, *, name: str, issue: int) -> specs.Spec:
    """Return the spec of a merge request's issue, as frozen in the lease; raises ``NotFound`` or ``InvalidInput``."""
    if name != SMALL:
        path = specs.path_of(name)
        return specs.read(context.mirror.read(commit, path), source=path)
    found = lease.read(context.mirror, issue)
    if found is None:
        raise NotFound(f"#{issue} has never been claimed", hint=f"`factory work --issue {issue}` claims it.")
    return spec(context, commit, found[1])
