"""Plans main with the releases of an earlier commit; a person approves that plan as always."""

from collections.abc import Sequence

from factory.errors import NotFound
from factory.evidence import transparency_log
from factory.gitlab import merge_requests, pipelines
from factory.model.gitlab import MAIN
from factory.workflow.context import Context
from factory.workflow.recorder import read_tree, record
from factory.workflow.release import own_change, shipment

_COMMIT = 40


def plan(context: Context, *, to: str | None, by: str, reason: str) -> tuple[str, str, int]:
    """Plan main with the releases of an earlier commit; return the current and that commit, and the pipeline.

    ``to`` begins a commit that has a verified deployment; the default is the last one before the current release. The
    plan needs a person's approval and an apply, as always. Raises ``NotFound``, ``Refused``.
    """
    labels, environment = context.policies().session.labels, context.policies().environments.deploy
    context.fetch()
    entries = transparency_log.read(read_tree(context))
    verified = _verified(entries, environment)
    if not verified:
        raise NotFound(
            f"{environment} has no verified deployment",
            hint="There is no release to roll back to; `factory deploy list` shows what became of each deployment.",
        )
    now = verified[-1]
    target = next((item for item in reversed(verified) if (item.startswith(to) if to else item != now)), None)
    if target is None:
        problem = f"no verified deployment of commit {to}" if to else "no verified release before the current one"
        raise NotFound(problem, hint="List them with `factory deploy list`.")
    carrier = _shipped(entries, context.main())
    created = pipelines.create(context.bot, MAIN, {shipment.RELEASE: target})
    request = merge_requests.get(context.bot, carrier)
    issue = own_change.shipped_by(context, request, context.policies()).number
    record(
        context,
        "rollback",
        issue=issue,
        subjects={"commit": f"gitCommit:{target}"},
        predicate={
            "key": f"rollback/{created.id}",
            "merge_request": carrier,
            "environment": environment,
            "pipeline": created.id,
            "from_commit": now,
            "commit": target,
            "by": by,
            "reason": reason,
        },
    )
    merge_requests.relabel(context.bot, carrier, add=[labels.shipping], remove=[labels.apply_unknown, labels.blocked])
    return now, target, created.id


def _verified(entries: Sequence[transparency_log.Entry], environment: str) -> list[str]:
    """Return the commits with a verified release in an environment, the newest last.

    A deployment without a release, as that of the infrastructure alone, is none.
    """
    return [
        str(entry.predicate["release"])[-_COMMIT:]
        for entry in entries
        if entry.kind == "deploy"
        and entry.predicate["verified"]
        and entry.predicate["release"]
        and entry.predicate["environment"] == environment
    ]


def _shipped(entries: Sequence[transparency_log.Entry], head: str) -> int:
    """Return the merge request that was merged as commit ``head``; raises ``NotFound``."""
    for entry in reversed(entries):
        if entry.kind == "merge" and entry.predicate["merge_commit"] == head:
            return int(entry.predicate["merge_request"])
    raise NotFound(
        f"main's head {head[:12]} was not merged by the factory", hint="Ship a merge request first, then roll back."
    )
