"""Applies a saved, approved plan if none of its inputs has changed since it was created.

The state stays locked from the check of the digests until the plan that follows the apply. ``apply.json`` records
whether the apply was refused or started, and which changes were applied.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from factory.errors import ApplyUnknown, FactoryError, InvalidInput, NotFound, Refused
from factory.model.deployment import ApplyResult
from factory.model.facts import SENSITIVE, Plan
from factory.system import canonical, data, files
from factory.terraform import plan as planning
from factory.terraform.diagnostics import read_events
from factory.terraform.manifest import Manifest, decode
from factory.terraform.plan import Stack
from factory.terraform.program import Killed, Terraform
from factory.terraform.source_check import LOCK_FILE, Source
from factory.terraform.state import State, identity

RESULT, EVENTS, ERRORED = "apply.json", "events.jsonl", "errored.tfstate"
_WORK = "work"
_AFTER = "after.tfplan"


@dataclass(frozen=True)
class Order:
    """What the caller approved.

    ``approved`` is the digest of the manifest, and ``destroy`` the digest of the plan that may destroy resources.
    ``who`` and ``minutes`` are the lock's owner and maximum duration. ``stale`` says what to do if the state has
    changed since the plan was created.
    """

    approved: str
    destroy: str
    who: str
    minutes: int
    stale: Literal["refuse", "replan"]


@dataclass(frozen=True)
class Rules:
    """Policy as functions of a plan: the reasons to deny it, and how many of its changes are more than noise."""

    denials: Callable[[Plan], Sequence[str]]
    counted: Callable[[Plan], int]


def apply(
    stack: Stack, folder: Path, order: Order, rules: Rules, *, first: Callable[[], None] = lambda: None
) -> ApplyResult:
    """Apply the plan in ``folder`` as ``order`` allows; return the result, which is also written to ``apply.json``.

    ``first`` runs after all checks and before terraform changes anything; if it raises ``Refused``, the apply is
    refused. Raises ``Refused`` naming the digest that differs, ``Conflict`` if the
    state is locked or the lock was lost, ``ApplyUnknown`` if an earlier apply of this plan did not finish, and the
    errors of ``Terraform``.
    """
    _require_new(folder)
    result = _Result(folder, stack.name, order.approved)
    plan = Plan(stack.name, "")
    try:
        plan = _approved(folder, order, rules)
        source = stack.source()
        with _exclusive(stack, folder, order, result) as (mine, require_lock):
            terraform, replanned = _checked(mine, folder, order, source, plan)
            first()
            require_lock()
            addresses = tuple(item.address for item in plan.changes)
            result.write(replace(result.value, phase="started", replanned=replanned, undone=addresses))
            terraform.apply_plan(planning.PLAN_FILE, folder / EVENTS, lock=mine.locks_itself)
            left = _left(mine, terraform, rules)
            result.write(replace(_progress(result.value, folder, plan), phase="done", replan_empty=not left, left=left))
    except BaseException as error:
        reason = str(error) or type(error).__name__
        if result.value.phase == "started":
            _keep_state(folder)
            result.write(replace(_progress(result.value, folder, plan), phase="failed", reason=reason))
        elif result.value.phase == "refused":
            result.write(replace(result.value, reason=reason))
        raise
    if result.value.left:
        raise Refused(f"the plan after the apply is not empty: {result.value.left}")
    return result.value


class _Result:
    """The result of an apply so far, written to disk at each change."""

    def __init__(self, folder: Path, stack: str, approved: str) -> None:
        self._path = folder / RESULT
        self.value = ApplyResult("refused", stack, approved)

    def write(self, value: ApplyResult) -> None:
        self.value = value
        files.write_atomic(self._path, data.write(value))


def read_result(folder: Path) -> ApplyResult:
    """Return the result of the apply in a folder; raises ``NotFound`` if there was none, ``InvalidInput``."""
    path = folder / RESULT
    if not path.exists():
        raise NotFound(
            f"no plan was applied in {folder}",
            hint="The job that applies writes the result: see its log for the reason.",
        )
    return data.read(ApplyResult, files.read_bytes(path), source=str(path))


def _require_new(folder: Path) -> None:
    """Raise ``ApplyUnknown`` if an earlier apply of the plan did not finish; its result must be kept."""
    try:
        phase: str = read_result(folder).phase
    except NotFound:
        return
    except InvalidInput:
        phase = "not readable"
    if phase not in {"refused", "done"}:
        raise ApplyUnknown(f"an earlier apply of this plan did not finish (phase {phase}); it is not repeated")


def _approved(folder: Path, order: Order, rules: Rules) -> Plan:
    """Return the saved plan if approval, destroy token and policy allow it; raises ``Refused``."""
    manifest = decode(files.read_bytes(folder / planning.MANIFEST))
    if manifest.digest() != order.approved:
        raise Refused(f"the approved manifest is {order.approved}, but the saved plan has {manifest.digest()}")
    plan = planning.read_facts(folder)
    if plan.problem:
        raise Refused(f"the plan cannot be checked: {plan.problem}")
    if denied := rules.denials(plan):
        raise Refused(f"policy denies the plan: {denied[0]}", hint="Fix the change, or let a person change the policy.")
    destroyed = plan.destroyed
    if destroyed and order.destroy != plan.digest:
        what = "names another plan" if order.destroy else "is missing"
        raise Refused(
            f"{len(destroyed)} resources would be destroyed ({destroyed[0]}, …) and the token that allows it {what}",
            hint=f"To allow it, approve with `factory deploy approve --destroy {plan.digest}`.",
        )
    return plan


def _checked(stack: Stack, folder: Path, order: Order, source: Source, plan: Plan) -> tuple[Terraform, bool]:
    """Return terraform with the plan file to apply in its folder, and whether the plan had to be created again.

    Raises ``Refused`` naming each digest that differs.
    """
    manifest = decode(files.read_bytes(folder / planning.MANIFEST))
    work = folder / _WORK
    terraform = stack.work(work, source)
    saved, lock = files.read_bytes(folder / planning.PLAN_FILE), files.read_bytes(folder / planning.LOCK)
    files.write_atomic(terraform.folder / planning.PLAN_FILE, saved, mode=0o600)
    files.write_atomic(terraform.folder / LOCK_FILE, lock)
    changed = manifest.differences(_now(stack, manifest, source, saved, lock))
    if changed:
        raise _changed(changed)
    terraform.start(lockfile="readonly")
    shown = planning.read_normalised(stack, terraform, planning.PLAN_FILE)
    if canonical.digest_of(shown) != manifest.plan:
        raise _changed(["plan"])
    where = identity(terraform.pull_state().encode())
    if where.lineage != manifest.state_lineage:
        raise _changed(["state_lineage"])
    if where.serial == manifest.state_serial:
        return terraform, False
    if order.stale != "replan":
        raise _changed(["state_serial"])
    if hidden(plan):
        raise Refused(
            "the state has changed since the plan was created (state_serial), and a plan with sensitive values cannot "
            "be compared with a new one",
            hint="Create and approve a new plan.",
        )
    again, _ = planning.planned(stack, terraform, source, lock_state=stack.locks_itself)
    if again.plan != manifest.plan:
        raise Refused(
            "the state has changed since the plan was created (state_serial), and a new plan has other changes",
            hint="Create and approve a new plan.",
        )
    return terraform, True


def _now(stack: Stack, manifest: Manifest, source: Source, saved: bytes, lock: bytes) -> Manifest:
    """Return the manifest with every field recomputed that does not need the state."""
    return replace(
        manifest,
        stack=stack.name,
        commit=stack.commit,
        base=stack.base,
        plan_file=canonical.digest(saved),
        provider_lock=canonical.digest(lock),
        terraform=stack.terraform,
        policy=stack.policy,
        source=planning.source_digest(source),
        variables=stack.variables_digest(),
        archives=stack.archives_digest,
    )


def _changed(names: Sequence[str]) -> Refused:
    return Refused(
        f"the plan is out of date because this has changed: {', '.join(names)}",
        hint="Create and approve a new plan.",
    )


def _left(stack: Stack, terraform: Terraform, rules: Rules) -> str:
    """Return the changes in a new plan, without noise; empty if the resources match the configuration."""
    if not terraform.write_plan(_AFTER, lock=stack.locks_itself):
        return ""
    return planning.left(stack.name, planning.read_normalised(stack, terraform, _AFTER), rules.counted)


def _progress(result: ApplyResult, folder: Path, plan: Plan) -> ApplyResult:
    """Return a result with the changes that terraform reports as done, half done (of a replacement) and not done."""
    events = files.read_bytes(folder / EVENTS) if (folder / EVENTS).exists() else b""
    ended = finished(events)
    found: dict[str, list[str]] = {"done": [], "partial": [], "undone": []}
    for item in sorted(plan.changes, key=lambda item: item.address):
        planned, completed = {"create", "update", "delete"} & set(item.actions), ended.get(item.address, set())
        found["done" if planned <= completed else "partial" if completed else "undone"].append(item.address)
    done, partial, undone = (tuple(found[name]) for name in ("done", "partial", "undone"))
    return replace(result, done=done, partial=partial, undone=undone)


def finished(events: bytes) -> dict[str, set[str]]:
    """Return the completed actions (create, update, delete) of each address in a log of terraform's events."""
    found: dict[str, set[str]] = {}
    for event in read_events(events):
        hook = event.get("hook")
        if event.get("type") == "apply_complete" and isinstance(hook, Mapping):
            found.setdefault(str(hook["resource"]["addr"]), set()).add(str(hook["action"]))
    return found


def hidden(plan: Plan) -> bool:
    """Return whether a changed resource has sensitive values: they are redacted, so plans cannot be compared."""
    return any(SENSITIVE in json.dumps([item.before, item.after]) for item in plan.changes)


@contextmanager
def _exclusive(stack: Stack, folder: Path, order: Order, result: _Result) -> Iterator[tuple[Stack, Callable[[], None]]]:
    """Hold the state lock during the block; yield the stack that uses the lock, and a function that verifies it.

    Without GitLab's backend, terraform locks the state itself for each command. If the state could not be saved or
    terraform was killed, the lock is kept, so that a person looks before anyone else writes. If unlocking fails, the
    result's ``lock_left`` has the error, and the apply still counts.
    """
    address = stack.env.get("TF_HTTP_ADDRESS")
    if address is None:
        yield stack, lambda: None
        return
    state = State(address, username=stack.env["TF_HTTP_USERNAME"], token=stack.env["TF_HTTP_PASSWORD"])
    lock = state.lock(who=order.who, operation="apply", minutes=order.minutes)
    keep = False
    try:
        # With -lock=false terraform sends no lock ID, and the backend rejects a write without the ID.
        env = {**stack.env, "TF_HTTP_ADDRESS": f"{address}?ID={lock.id}"}
        yield replace(stack, env=env, locks_itself=False), lambda: state.require(lock)
    except BaseException as error:
        keep = isinstance(error, Killed) or bool(_unsaved(folder))
        raise
    finally:
        if not keep:
            try:
                state.unlock(lock)
            except FactoryError as error:
                result.write(replace(result.value, lock_left=str(error)))


def _keep_state(folder: Path) -> None:
    """Copy the state that terraform could not save; otherwise the state would lack the resources it created."""
    for path in _unsaved(folder):
        files.write_atomic(folder / ERRORED, path.read_bytes(), mode=0o600)


def _unsaved(folder: Path) -> list[Path]:
    return [path for path in files.below(folder / _WORK) if path.name == ERRORED]
