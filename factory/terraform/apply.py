"""Applies a saved plan, and only the one that was approved, while everything it was made of still holds.

The state stays locked from the check to the plan after the apply. What is written tells a refusal from an apply that
began, and what of it was done.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from factory.errors import ApplyUnknown, FactoryError, Refused
from factory.model.facts import SENSITIVE, Plan
from factory.system import canonical, files
from factory.terraform import plan as planning
from factory.terraform.manifest import Manifest, decode
from factory.terraform.plan import Stack
from factory.terraform.program import Killed, Terraform, read_events
from factory.terraform.screen import LOCK_FILE, Source
from factory.terraform.state import State, identity

RESULT, EVENTS, ERRORED = "apply.json", "events.jsonl", "errored.tfstate"
_WORK = "work"
_AFTER = "after.tfplan"


@dataclass(frozen=True)
class Order:
    """What may be applied: the manifest's digest, and the digest of the plan whose destroys are allowed.

    ``who`` and ``minutes`` are the lock's owner and its longest life; ``stale`` is what to do once the state moved on.
    """

    approved: str
    destroy: str
    who: str
    minutes: int
    stale: Literal["refuse", "replan"]


@dataclass(frozen=True)
class Rules:
    """Policy, as functions of a plan: why it is denied, and how many of its changes count."""

    denials: Callable[[Plan], Sequence[str]]
    counted: Callable[[Plan], int]


def apply(
    stack: Stack, folder: Path, order: Order, rules: Rules, *, first: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Apply the plan in ``folder`` as the order says; return the result that is also written as ``apply.json``.

    ``first`` runs once everything holds and before anything changes; a ``Refused`` of it refuses the apply. The
    result's ``phase`` is ``refused`` (nothing was changed), ``started``, ``failed`` (with what was ``done`` and what
    not) or ``done``. Raises ``Refused`` naming the digest that differs, ``Conflict`` where the state is locked or the
    lock was lost, ``ApplyUnknown`` where this very plan was begun before, and what terraform raises.
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
            addresses = [item.address for item in plan.changes]
            result.write(phase="started", replanned=replanned, undone=addresses)
            terraform.apply_plan(planning.PLAN_FILE, folder / EVENTS, lock=mine.locks_itself)
            left = _left(mine, terraform, rules)
            result.write(phase="done", replan_empty=not left, left=left, **_progress(folder, plan))
    except BaseException as error:
        if result.phase == "started":
            _keep_state(folder)
            result.write(phase="failed", reason=str(error) or type(error).__name__, **_progress(folder, plan))
        elif result.phase == "refused":
            result.write(reason=str(error) or type(error).__name__)
        raise
    if result.value["left"]:
        raise Refused(f"the plan after the apply is not empty: {result.value['left']}")
    return result.value


class _Result:
    """What came of an apply so far, written to the disk whenever it changes."""

    def __init__(self, folder: Path, stack: str, approved: str) -> None:
        self._path = folder / RESULT
        self.value: dict[str, Any] = {
            "phase": "refused",
            "stack": stack,
            "manifest": approved,
            "replanned": False,
            "replan_empty": False,
            "done": [],
            "partial": [],
            "undone": [],
            "left": "",
            "lock_left": "",
            "reason": "",
        }

    @property
    def phase(self) -> str:
        return str(self.value["phase"])

    def write(self, **values: Any) -> None:
        self.value |= values
        files.write_atomic(self._path, canonical.encode(self.value))


def _require_new(folder: Path) -> None:
    """Refuse a plan that an apply has begun already: what that changed is told here, and would be told no more."""
    path = folder / RESULT
    if not path.exists():
        return
    try:
        phase = json.loads(files.read_bytes(path))["phase"]
    except (ValueError, KeyError, TypeError):
        phase = "not readable"
    if phase not in {"refused", "done"}:
        raise ApplyUnknown(f"an apply of this plan was begun before ({phase}): it is not begun again")


def _approved(folder: Path, order: Order, rules: Rules) -> Plan:
    """Return the saved plan once approval, token and policy allow it; raises ``Refused``."""
    manifest = decode(files.read_bytes(folder / planning.MANIFEST))
    if manifest.digest() != order.approved:
        raise Refused(f"the approved manifest is {order.approved}, the saved plan's is {manifest.digest()}")
    plan = planning.read_facts(folder)
    if plan.problem:
        raise Refused(f"the plan cannot be judged: {plan.problem}")
    if denied := rules.denials(plan):
        raise Refused(f"policy denies the plan: {denied[0]}", hint="Mend the change, or let a person change policy.")
    gone = plan.destroyed
    if gone and order.destroy != plan.digest:
        what = "names another plan" if order.destroy else "is missing"
        raise Refused(
            f"{len(gone)} resources would be destroyed ({gone[0]}, …) and the token that allows it {what}",
            hint=f"Approve with `factory deploy approve --destroy {plan.digest}`, if that is what you want.",
        )
    return plan


def _checked(stack: Stack, folder: Path, order: Order, source: Source, plan: Plan) -> tuple[Terraform, bool]:
    """Return terraform with the plan in place, and whether it had to be made again.

    Raises ``Refused`` naming each digest that differs.
    """
    manifest = decode(files.read_bytes(folder / planning.MANIFEST))
    work = folder / _WORK
    terraform = stack.work(work, source)
    data, lock = files.read_bytes(folder / planning.PLAN_FILE), files.read_bytes(folder / planning.LOCK)
    files.write_atomic(terraform.folder / planning.PLAN_FILE, data, mode=0o600)
    files.write_atomic(terraform.folder / LOCK_FILE, lock)
    changed = manifest.differences(_now(stack, manifest, source, data, lock))
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
            "the state has moved on since the plan was made (state_serial), and a plan with sensitive values cannot be "
            "compared with another",
            hint="Make a new plan and approve that.",
        )
    again, _ = planning.planned(stack, terraform, source, lock_state=stack.locks_itself)
    if again.plan != manifest.plan:
        raise Refused(
            "the state has moved on since the plan was made (state_serial), and a plan made now says something else",
            hint="Make a new plan and approve that.",
        )
    return terraform, True


def _now(stack: Stack, made: Manifest, source: Source, data: bytes, lock: bytes) -> Manifest:
    """Return the manifest with all that can be computed anew without the state."""
    return replace(
        made,
        stack=stack.name,
        commit=stack.commit,
        base=stack.base,
        plan_file=canonical.digest(data),
        provider_lock=canonical.digest(lock),
        terraform=stack.terraform,
        policy=stack.policy,
        source=planning.source_digest(source),
        variables=stack.variables_digest(),
        archives=stack.archives,
    )


def _changed(names: Sequence[str]) -> Refused:
    return Refused(
        f"since the plan was made, this has changed: {', '.join(names)}", hint="Make a new plan and approve that."
    )


def _left(stack: Stack, terraform: Terraform, rules: Rules) -> str:
    """Return what a plan made now would still do, apart from noise; nothing where the world is what the code says."""
    if not terraform.write_plan(_AFTER, lock=stack.locks_itself):
        return ""
    normalised = planning.read_normalised(stack, terraform, _AFTER)
    plan = planning.facts(stack.name, "", normalised)
    outputs = [name for name, change in normalised["output_changes"].items() if change["actions"] != ["no-op"]]
    if rules.counted(plan) or outputs:
        return ", ".join([item.address for item in plan.changes] + [f"output {name}" for name in outputs])
    return ""


def _progress(folder: Path, plan: Plan) -> dict[str, list[str]]:
    """Return which of the plan's changes terraform says are done, which are half done (replaced), and which are not."""
    events = files.read_bytes(folder / EVENTS) if (folder / EVENTS).exists() else b""
    ended = finished(events)
    found: dict[str, list[str]] = {"done": [], "partial": [], "undone": []}
    for item in sorted(plan.changes, key=lambda item: item.address):
        wanted, had = {"create", "update", "delete"} & set(item.actions), ended.get(item.address, set())
        found["done" if wanted <= had else "partial" if had else "undone"].append(item.address)
    return found


def finished(events: bytes) -> dict[str, set[str]]:
    """Return for each address what a log of terraform's events says was done to it: create, update, delete."""
    found: dict[str, set[str]] = {}
    for event in read_events(events):
        hook = event.get("hook")
        if event.get("type") == "apply_complete" and isinstance(hook, Mapping):
            found.setdefault(str(hook["resource"]["addr"]), set()).add(str(hook["action"]))
    return found


def hidden(plan: Plan) -> bool:
    """Tell whether a plan changes something with a sensitive value, of which nobody sees whether it is another."""
    return any(SENSITIVE in json.dumps([item.before, item.after]) for item in plan.changes)


@contextmanager
def _exclusive(stack: Stack, folder: Path, order: Order, result: _Result) -> Iterator[tuple[Stack, Callable[[], None]]]:
    """Hold the state's lock during the block; give the stack that writes under it, and what makes sure of the lock.

    A state that is in no GitLab is locked by terraform itself, command by command. The lock stays where the state
    could not be saved, or terraform was killed: nobody else may write before a person has looked. A lock that could
    not be given back is told in the result, and changes nothing about what was applied.
    """
    address = stack.env.get("TF_HTTP_ADDRESS")
    if address is None:
        yield stack, lambda: None
        return
    state = State(address, username=stack.env["TF_HTTP_USERNAME"], token=stack.env["TF_HTTP_PASSWORD"])
    lock = state.lock(who=order.who, operation="apply", minutes=order.minutes)
    keep = False
    try:
        # Without -lock terraform sends no lock's id, and the backend takes no write without it.
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
                result.write(lock_left=str(error))


def _keep_state(folder: Path) -> None:
    """Keep the state that terraform could not save; without it, what was made would be lost to it."""
    for path in _unsaved(folder):
        files.write_atomic(folder / ERRORED, path.read_bytes(), mode=0o600)


def _unsaved(folder: Path) -> list[Path]:
    return sorted((folder / _WORK).rglob(ERRORED))
