"""Recovers from an interrupted apply: unlock or restore a state, and plan main again.

Nothing here applies a plan: a new plan of main needs its own approval, as always. Each function records a statement.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from factory.errors import NotFound, Refused
from factory.gitlab import issues, merge_requests, pipelines
from factory.model.gitlab import MAIN, MergeRequest
from factory.operations import job_result, saved_plan
from factory.system import canonical
from factory.terraform import apply as applying
from factory.terraform.state import Lock, State, describe, identity
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.workflow.release import own_change, rollout, shipment

_NOBODY = 0


@dataclass(frozen=True)
class RecoveryReport:
    """The result of a recovery: which changes the interrupted apply made, and what was done with the state."""

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


def unlock(context: Context, state: State, stack: str, *, by: str, reason: str, force: bool = False) -> Lock:
    """Remove an abandoned state lock and record who removed it and why. Returns the removed lock.

    Raises ``NotFound`` if the state is not locked. Without ``force``, raises ``Refused`` while the lock's job runs, or
    if the lock has no known job and has not expired.
    """
    lock = state.holder()
    if lock is None:
        raise NotFound(
            f"the state of {stack} is not locked", hint="There is nothing to unlock: start again what found the lock."
        )
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
    """Inspect an interrupted apply, restore the state that it could not save, and plan main again.

    ``state_of`` opens the state of a stack. Raises ``Refused`` if the merge request is not ``apply_unknown``, if its
    apply still runs, or if main has newer commits.
    """
    labels = context.policies().session.labels
    request = merge_requests.get(context.bot, iid)
    if labels.apply_unknown not in request.labels:
        raise Refused(f"!{iid} has no interrupted apply", hint=f"See `factory mr show {iid}`.")
    context.fetch()
    if context.main() != request.sha:
        raise Refused(
            f"main has newer commits than !{iid}; the plan of its head shows the remaining changes",
            hint=f"Recover the newest merge request, then remove the label `{labels.apply_unknown}` from !{iid}.",
        )
    issue = own_change.shipped_by(context, request, context.policies()).number
    pipeline, job, stack = _interrupted(context, request)
    found = _inspect(context, request, (pipeline, job, stack), state_of(stack), by=by)
    asked = context.policies().environments.asked(stack)
    created = pipelines.create(context.bot, MAIN, {shipment.CONFIRM: stack} if asked else None)
    found = replace(found, pipeline=created.id)
    record(
        context,
        "recovery",
        issue=issue,
        subjects={"commit": f"gitCommit:{request.sha}"},
        predicate={
            "key": f"recovery/{iid}/{found.job}/{created.id}",
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
    issues.say(context.bot, "merge_requests", iid, marker=f"recovery {found.job}", body=_note(found))
    shipment.relabel(context, issue, iid, add=[labels.shipping], remove=[labels.apply_unknown])
    return found


def restore(context: Context, state: State, stack: str, serial: int, *, by: str, reason: str) -> int:
    """Write an earlier version of a state as the newest one and record who did it; return the new serial.

    Raises ``NotFound`` if the version does not exist, ``Refused`` if it has another lineage.
    """
    with state.held(who=f"factory infra restore by {by}", operation="restore", minutes=5) as lock:
        current, old = state.read(), state.version(serial)
        now, then = identity(current), identity(old)
        if now.serial and now.lineage != then.lineage:
            raise Refused(f"version {serial} of {stack} has another lineage ({then.lineage})")
        data = json.dumps(json.loads(old) | {"serial": now.serial + 1}, indent=2).encode()
        state.write(data, lock)
    record(
        context,
        "restore",
        issue=_NOBODY,
        subjects={"state": canonical.digest(data)},
        predicate={
            "key": f"restore/{stack}/{now.serial + 1}",
            "stack": stack,
            "from_serial": serial,
            "serial": now.serial + 1,
            "by": by,
            "reason": reason,
        },
    )
    return now.serial + 1


def _interrupted(context: Context, request: MergeRequest) -> tuple[int, int, str]:
    """Return the pipeline, the job and the stack of the interrupted apply; raises ``NotFound``."""
    pipeline = shipment.main_pipeline(context, request.sha)
    for stack in saved_plan.of(context.bot, pipeline.id).manifests if pipeline else ():
        job = rollout.job_of(context, pipeline.id, rollout.APPLY, stack) if pipeline else None
        if pipeline and job and job.status in {"failed", "canceled"}:
            return pipeline.id, job.id, stack
    raise NotFound(
        f"!{request.iid} has no failed or cancelled apply job",
        hint=f"There is no interrupted apply to examine; `factory mr show {request.iid}` shows its pipelines.",
    )


def _inspect(
    context: Context, request: MergeRequest, where: tuple[int, int, str], state: State, *, by: str
) -> RecoveryReport:
    pipeline, job, stack = where
    result = job_result.apply(context.bot, job, f"{saved_plan.FOLDER}/{stack}")
    unsaved = pipelines.artifact(context.bot, job, f"{saved_plan.FOLDER}/{stack}/{applying.ERRORED}")
    before = saved_plan.of(context.bot, pipeline).manifests[stack].state_serial
    unlocked = state.holder() is not None
    if unlocked:
        unlock(context, state, stack, by=by, reason=f"the apply of !{request.iid} (job {job}) did not end")
    return RecoveryReport(
        merge_request=request.iid,
        stack=stack,
        job=job,
        phase=result.phase,
        done=result.done,
        partial=result.partial,
        undone=result.undone,
        serial_before=before,
        unlocked=unlocked,
        state_restored=unsaved is not None and _restore_unsaved(state, unsaved, by=by),
        serial_now=state.identity().serial,
        pipeline=0,
    )


def _restore_unsaved(state: State, unsaved: bytes, *, by: str) -> bool:
    """Write the state that Terraform could not save, if it is newer than the current one; return whether it was."""
    with state.held(who=f"factory infra recover by {by}", operation="restore", minutes=5) as lock:
        current, saved = state.identity(), identity(unsaved)
        if saved.serial <= current.serial or (current.serial and current.lineage != saved.lineage):
            return False
        state.write(unsaved, lock)
    return True


def _in_use(context: Context, lock: Lock) -> str:
    """Return why a lock may still be in use; an empty string if its job has ended or the lock has expired."""
    words = lock.who.split()
    if words[:1] == ["job"] and len(words) > 1 and words[1].isdigit():
        try:
            job = pipelines.job(context.bot, int(words[1]))
        except NotFound:
            return "" if lock.expired() else "GitLab does not know its job, and the lock has not expired"
        return "" if job.status in rollout.ENDED else f"its job is {job.status}"
    return "" if lock.expired() else "nobody knows whether its owner has ended"


def _note(found: RecoveryReport) -> str:
    rows = [("done", found.done), ("half done", found.partial), ("not done", found.undone)]
    lines = [f"* {word}: {', '.join(f'`{address}`' for address in addresses)}" for word, addresses in rows if addresses]
    restored = "restored, " if found.state_restored else ""
    return "\n".join(
        [
            f"The apply (job {found.job}) was interrupted. Its changes:",
            "",
            *(lines or ["* not reported by Terraform; the new plan shows what remains"]),
            "",
            f"The state is {restored}at serial {found.serial_now} (before the apply: {found.serial_before}).",
            f"Pipeline {found.pipeline} plans main again; its plan shows the remaining changes.",
            "If nothing remains and the state was saved since, the apply counts as done.",
            "Else the plan is applied only after a person approves it. To go back, use `factory infra rollback`.",
        ]
    )
