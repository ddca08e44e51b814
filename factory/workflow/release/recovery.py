"""What a person does when an apply did not end well: unlock the state, look and plan anew, or go back to a release.

Nothing here applies anything: a new plan of main goes the same way as every other, with its own approval. Each act
leaves a statement.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from factory.errors import NotFound, Refused
from factory.evidence import log
from factory.gitlab import deployments, issues, merge_requests, pipelines
from factory.model.gitlab import MAIN, MergeRequest
from factory.operations import saved_plan
from factory.system import canonical
from factory.terraform import apply as applying
from factory.terraform.state import Lock, State, describe, identity
from factory.workflow.context import Context
from factory.workflow.recorder import read_tree, record
from factory.workflow.release import rollout, shipment

_NOBODY = 0
_COMMIT = 40


@dataclass(frozen=True)
class RecoveryReport:
    """What an interrupted apply left: which changes it did and which not, and what was done about the state."""

    merge_request: int
    stack: str
    job: int
    phase: str
    done: tuple[str, ...]
    partial: tuple[str, ...]
    undone: tuple[str, ...]
    serial_before: int
    serial_now: int
    unlocked: bool
    state_restored: bool
    pipeline: int

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON value."""
        return asdict(self)


def unlock(context: Context, state: State, stack: str, *, by: str, reason: str, force: bool = False) -> Lock:
    """Take a lock off that its owner left behind; return it, once a statement says who did, and why.

    Raises ``NotFound`` where the state is not locked, and, without ``force``, ``Refused`` while its job runs, or where
    nobody knows whether its owner has ended and its end is not past.
    """
    lock = state.holder()
    if lock is None:
        raise NotFound(f"the state of {stack} is not locked")
    if not force and (why := _in_use(context, lock)):
        raise Refused(f"the state of {stack} is locked {describe(lock)}: {why}", hint="Wait, or add --force.")
    state.unlock(lock)
    record(
        context,
        "unlock",
        issue=_NOBODY,
        subjects={"lock": canonical.digest_of(lock.to_json())},
        predicate={
            "key": f"unlock/{stack}/{lock.id}",
            "stack": stack,
            "lock": lock.id,
            "holder": lock.who,
            "created": lock.created or "unknown",
            "expires": lock.expires or None,
            "by": by,
            "reason": reason,
            "forced": force,
        },
    )
    return lock


def recover(context: Context, iid: int, state_of: Callable[[str], State], *, by: str) -> RecoveryReport:
    """Look at what an interrupted apply left, bring its state back, and have main planned anew; return what was found.

    ``state_of`` opens the state of a stack. Raises ``Refused`` where the merge request is not ``apply_unknown``, where
    its apply still runs, or where main has moved on.
    """
    labels = context.policies().session.labels
    request = merge_requests.get(context.bot, iid)
    if labels.apply_unknown not in request.labels:
        raise Refused(f"!{iid} has no apply whose end is not known", hint="Look at `factory mr show`.")
    context.fetch()
    if context.main() != request.sha:
        raise Refused(
            f"main has moved on from !{iid}: the plan of its head shows what is left",
            hint="Recover the newest merge request; then take the label off this one.",
        )
    pipeline, job, stack = _interrupted(context, request)
    found = _look(context, request, (pipeline, job, stack), state_of(stack), by=by)
    made = pipelines.create(context.bot, MAIN)
    found = RecoveryReport(**{**vars(found), "pipeline": made.id})
    record(
        context,
        "recovery",
        issue=shipment.issue_of(request),
        subjects={"commit": f"gitCommit:{request.sha}"},
        predicate={
            "key": f"recovery/{iid}/{found.job}/{made.id}",
            "merge_request": iid,
            "stack": stack,
            "job": found.job,
            "phase": found.phase,
            "done": list(found.done),
            "partial": list(found.partial),
            "undone": list(found.undone),
            "serial_before": found.serial_before,
            "serial_now": found.serial_now,
            "state_restored": found.state_restored,
            "by": by,
        },
    )
    issues.say(context.bot, "merge_requests", iid, marker=f"recovery {found.job}", body=_told(found))
    for relabel, number in ((merge_requests.relabel, iid), (issues.relabel, shipment.issue_of(request))):
        relabel(context.bot, number, add=[labels.shipping], remove=[labels.apply_unknown])
    return found


def rollback(context: Context, *, to: str | None, by: str, reason: str) -> tuple[str, str, int]:
    """Have main planned with the releases of an earlier commit; return the commits now and then, and the pipeline.

    ``to`` names a commit whose deployment was verified; by default it is the last one before what is there now. What
    follows is as for every change: a plan, a person's approval of it, the apply. Raises ``NotFound``, ``Refused``.
    """
    labels, environment = context.policies().session.labels, context.policies().environments.deploy
    context.fetch()
    entries = log.read(read_tree(context))
    verified = _verified(context, entries, environment)
    if not verified:
        raise NotFound(f"no deployment to {environment} was ever verified")
    now = verified[-1]
    wanted = next((item for item in reversed(verified) if (item.startswith(to) if to else item != now)), None)
    if wanted is None:
        what = f"no verified deployment is of {to}" if to else "there is no verified release before this one"
        raise NotFound(what, hint="List them with `factory deploy list`.")
    carrier = _shipped(entries, context.main())
    made = pipelines.create(context.bot, MAIN, {shipment.RELEASE: wanted})
    request = merge_requests.get(context.bot, carrier)
    issue = shipment.issue_of(request)
    record(
        context,
        "rollback",
        issue=issue,
        subjects={"commit": f"gitCommit:{wanted}"},
        predicate={
            "key": f"rollback/{made.id}",
            "merge_request": carrier,
            "environment": environment,
            "pipeline": made.id,
            "from_commit": now,
            "commit": wanted,
            "by": by,
            "reason": reason,
        },
    )
    merge_requests.relabel(context.bot, carrier, add=[labels.shipping], remove=[labels.apply_unknown, labels.blocked])
    return now, wanted, made.id


def restore(context: Context, state: State, stack: str, serial: int, *, by: str, reason: str) -> int:
    """Write an earlier version of a state as the newest one; return its new serial, once a statement says who did.

    Raises ``NotFound`` where there is no such version, ``Refused`` where it is of another lineage.
    """
    with state.held(who=f"factory infra restore by {by}", operation="restore", minutes=5) as lock:
        current, old = state.read(), state.version(serial)
        here, there = identity(current), identity(old)
        if here.serial and here.lineage != there.lineage:
            raise Refused(f"version {serial} of {stack} is of another state ({there.lineage})")
        data = json.dumps(json.loads(old) | {"serial": here.serial + 1}, indent=2).encode()
        state.write(data, lock)
    record(
        context,
        "restore",
        issue=_NOBODY,
        subjects={"state": canonical.digest(data)},
        predicate={
            "key": f"restore/{stack}/{here.serial + 1}",
            "stack": stack,
            "from_serial": serial,
            "serial": here.serial + 1,
            "by": by,
            "reason": reason,
        },
    )
    return here.serial + 1


def _interrupted(context: Context, request: MergeRequest) -> tuple[int, int, str]:
    """Return the pipeline, the job and the stack of the apply that did not end; raises ``NotFound``."""
    pipeline = shipment.main_pipeline(context, request.sha)
    for stack in saved_plan.of(context.bot, pipeline.id).manifests if pipeline else ():
        job = rollout.job_of(context, pipeline.id, rollout.APPLY, stack) if pipeline else None
        if pipeline and job and job.status in {"failed", "canceled"}:
            return pipeline.id, job.id, stack
    raise NotFound(f"!{request.iid} has no apply that did not end")


def _look(
    context: Context, request: MergeRequest, where: tuple[int, int, str], state: State, *, by: str
) -> RecoveryReport:
    pipeline, job, stack = where
    result = pipelines.document(context.bot, job, f"{saved_plan.FOLDER}/{stack}/{applying.RESULT}")
    unsaved = pipelines.artifact(context.bot, job, f"{saved_plan.FOLDER}/{stack}/{applying.ERRORED}")
    before = int(saved_plan.of(context.bot, pipeline).manifests[stack]["state_serial"])
    unlocked = state.holder() is not None
    if unlocked:
        unlock(context, state, stack, by=by, reason=f"the apply of !{request.iid} (job {job}) did not end")
    return RecoveryReport(
        merge_request=request.iid,
        stack=stack,
        job=job,
        phase=str(result.get("phase", "unknown")),
        done=tuple(result.get("done", ())),
        partial=tuple(result.get("partial", ())),
        undone=tuple(result.get("undone", ())),
        serial_before=before,
        unlocked=unlocked,
        state_restored=unsaved is not None and _bring_back(state, unsaved, by=by),
        serial_now=state.identity().serial,
        pipeline=0,
    )


def _bring_back(state: State, unsaved: bytes, *, by: str) -> bool:
    """Write the state that terraform could not save, where it follows on what is there; tell whether it was written."""
    with state.held(who=f"factory infra recover by {by}", operation="restore", minutes=5) as lock:
        here, there = state.identity(), identity(unsaved)
        if there.serial <= here.serial or (here.serial and here.lineage != there.lineage):
            return False
        state.write(unsaved, lock)
    return True


def _in_use(context: Context, lock: Lock) -> str:
    """Return why a lock may still be in use; nothing where its job has ended, or its end is past."""
    words = lock.who.split()
    if words[:1] == ["job"] and len(words) > 1 and words[1].isdigit():
        try:
            job = pipelines.job(context.bot, int(words[1]))
        except NotFound:
            return "" if lock.expired() else "GitLab does not know its job, and its end is not past"
        return "" if job.status in rollout.ENDED else f"its job is {job.status}"
    return "" if lock.expired() else "nobody knows whether its owner has ended"


def _verified(context: Context, entries: Sequence[log.Entry], environment: str) -> list[str]:
    """Return the commits whose releases were verified in an environment, the newest last.

    The first release, which the administrator made, is in GitLab only: its pipeline ended with the job that verifies.
    """
    told = [
        str(entry.predicate["release"])[-_COMMIT:]
        for entry in entries
        if entry.kind == "deploy" and entry.predicate["verified"] and entry.predicate["environment"] == environment
    ]
    found = deployments.find(context.bot, status="success")
    first = [item.sha for item in reversed(found) if item.environment == environment][:1]
    return [*(sha for sha in first if sha not in told), *told]


def _shipped(entries: Sequence[log.Entry], head: str) -> int:
    """Return the merge request that made a commit of main; raises ``NotFound``."""
    for entry in reversed(entries):
        if entry.kind == "merge" and entry.predicate["merge_commit"] == head:
            return int(entry.predicate["merge_request"])
    raise NotFound(
        f"main's head {head[:12]} was not merged by the factory", hint="Ship a merge request; then go back from there."
    )


def _told(found: RecoveryReport) -> str:
    rows = [("done", found.done), ("half done", found.partial), ("not done", found.undone)]
    lines = [f"* {word}: {', '.join(f'`{address}`' for address in addresses)}" for word, addresses in rows if addresses]
    state = "brought back" if found.state_restored else f"at serial {found.serial_now}, {found.serial_before} before"
    return "\n".join(
        [
            f"The apply (job {found.job}) did not end. Of its changes:",
            "",
            *(lines or ["* terraform told of none; the new plan shows what is left"]),
            "",
            f"The state is {state}. Pipeline {found.pipeline} plans main anew: what it shows is what is left to do.",
            "It is applied only once a person approves it. To go back instead: `factory infra rollback`.",
        ]
    )
