"""Applies a saved plan, and only the one that was approved, while everything it was made of still holds."""

import json
from collections.abc import Callable
from pathlib import Path

from factory.errors import Refused
from factory.system import canonical, files
from factory.terraform import plan
from factory.terraform.manifest import Manifest, decode, normalise
from factory.terraform.plan import Stack
from factory.terraform.program import Terraform

RESULT = "apply.json"


def apply(stack: Stack, folder: Path, *, approved: str, first: Callable[[], None] = lambda: None) -> dict[str, object]:
    """Apply the plan in ``folder`` whose manifest has the digest ``approved``; return the result that is also written.

    ``first`` runs once everything holds and before anything changes; a ``Refused`` of it refuses the apply.
    ``apply.json`` is written before anything is changed (``started``), on refusal (``refused``) and at the end
    (``done``), so that an interrupted apply can be told from one that never began. Raises ``Refused`` naming the
    digest that differs, ``ToolFailed`` where terraform fails.
    """
    result: dict[str, object] = {"phase": "refused", "manifest": approved, "replan_empty": False}
    try:
        manifest = decode(files.read_bytes(folder / plan.MANIFEST))
        terraform = _checked(stack, folder, manifest, approved)
        first()
    except Refused as error:
        _write(folder, result | {"reason": str(error)})
        raise
    _write(folder, result | {"phase": "started"})
    terraform.apply_plan(plan.PLAN_FILE)
    empty = not terraform.write_plan("after.tfplan", lock=True)
    done = result | {"phase": "done", "replan_empty": empty}
    _write(folder, done)
    if not empty:
        raise Refused("the plan after the apply is not empty: the world is not what the code says")
    return done


def _checked(stack: Stack, folder: Path, manifest: Manifest, approved: str) -> Terraform:
    """Return terraform with the plan in place; raises ``Refused`` where any digest differs."""
    if manifest.digest() != approved:
        raise Refused(f"the approved manifest is {approved}, the saved plan's is {manifest.digest()}")
    work = folder / "work"
    terraform = stack.work(work)
    data = files.read_bytes(folder / plan.PLAN_FILE)
    lock = files.read_bytes(folder / plan.LOCK)
    files.write_atomic(work / plan.PLAN_FILE, data, mode=0o600)
    files.write_atomic(work / ".terraform.lock.hcl", lock)
    terraform.start(lockfile="readonly")
    lineage, serial = plan.state_identity(terraform)
    now = Manifest(
        stack=stack.name,
        commit=stack.commit,
        plan_file=canonical.digest(data),
        plan=canonical.digest_of(normalise(json.loads(stack.redacted(terraform.show(plan.PLAN_FILE))))),
        state_lineage=lineage,
        state_serial=serial,
        provider_lock=canonical.digest(lock),
        terraform=terraform.version(),
        policy=stack.policy,
        source=stack.source_digest(),
        variables=stack.variables_digest(),
    )
    changed = manifest.differences(now)
    if changed:
        raise Refused(
            f"since the plan was made, this has changed: {', '.join(changed)}", hint="Make a new plan and approve that."
        )
    return terraform


def _write(folder: Path, result: dict[str, object]) -> None:
    files.write_atomic(folder / RESULT, canonical.encode(result))
