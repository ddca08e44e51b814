"""Proves, by a later plan, that an interrupted apply did everything that its plan says.

The proof needs nothing from the job that was lost: the signed evidence says which manifest it was given, and a new plan
of the same commit says what is left to do and which state it found.
"""

from dataclasses import dataclass

from factory.evidence import sign, transparency_log
from factory.operations import saved_plan
from factory.operations.saved_plan import SavedPlan
from factory.policies import plans
from factory.policies.model import Policies
from factory.system import clock
from factory.terraform.manifest import Manifest
from factory.workflow.context import Context
from factory.workflow.recorder import read_tree

# What differs between the plan before an apply and the one after it; every other input must be the same.
_MOVES = frozenset({"plan", "plan_file", "state_serial", "base"})


@dataclass(frozen=True)
class Interrupted:
    """An interrupted apply: its job, its deployment, and the manifest of the plan that the job was given."""

    job: int
    deployment: int
    manifest: Manifest


def gap(given: Manifest, new: Manifest, left: str) -> str:
    """Return what is missing for a proof that the plan of ``given`` was applied; empty if nothing is missing. Pure.

    ``new`` is the manifest of a later plan, and ``left`` what that plan still changes.
    """
    others = sorted(set(given.differences(new)) - _MOVES)
    if others:
        return f"the new plan was made from something else: {', '.join(others)}"
    if new.state_serial <= given.state_serial:
        return f"no apply has saved the state since: it is at serial {new.state_serial}"
    return f"the new plan still changes {left}" if left else ""


def interrupted(context: Context, iid: int, *, stack: str, pipeline: int) -> Interrupted | None:
    """Return the interrupted apply after whose recovery a pipeline plans a stack; ``None`` if there was none.

    Only statements that the recorder has signed count. Raises ``EvidenceInvalid``, and ``NotFound`` if GitLab no longer
    has the plan.
    """
    context.fetch()
    tree, trust = read_tree(context), context.trust()
    for entry in transparency_log.read(tree):
        sign.open_envelope(entry.envelope, trust.public_keys())
    entries = [entry for entry in transparency_log.valid(tree, trust) if entry.kind in {"apply", "recovery"}]
    after = {
        entry.predicate["job"]
        for entry in entries
        if entry.kind == "recovery" and entry.key == f"recovery/{iid}/{entry.predicate['job']}/{pipeline}"
    }
    for entry in reversed(entries):
        predicate = entry.predicate
        if entry.kind == "apply" and predicate["job"] in after and predicate["result"] == "unknown":
            saved = saved_plan.of(context.bot, predicate["pipeline"])
            if stack in saved.manifests and saved.digest(stack) == predicate["manifest"]:
                return Interrupted(predicate["job"], predicate["deployment"], saved.manifests[stack])
    return None


def left(context: Context, policies: Policies, saved: SavedPlan, stack: str) -> str:
    """Return what a saved plan changes, without the noise that policy names; empty if it changes nothing."""
    today = clock.timestamp()[:10]
    return saved_plan.left(context.bot, saved, stack, lambda plan: len(plans.counted(policies, plan, today=today)))


def predicate(iid: int, done: Interrupted, new: Manifest, *, pipeline: int) -> dict[str, object]:
    """Return what the statement ``proof`` says."""
    return {
        "key": f"proof/{iid}/{done.job}",
        "merge_request": iid,
        "stack": new.stack,
        "job": done.job,
        "commit": new.commit,
        "manifest": done.manifest.digest(),
        "plan": done.manifest.plan,
        "new_pipeline": pipeline,
        "new_manifest": new.digest(),
        "new_plan": new.plan,
        "serial_before": done.manifest.state_serial,
        "serial_now": new.state_serial,
    }


def subjects(done: Interrupted, new: Manifest) -> dict[str, str]:
    """Return the digests that the statement ``proof`` is about."""
    return {
        "commit": f"gitCommit:{new.commit}",
        "manifest": done.manifest.digest(),
        "plan": done.manifest.plan,
        "new manifest": new.digest(),
        "new plan": new.plan,
    }
