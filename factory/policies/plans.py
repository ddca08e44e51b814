"""Judges a Terraform plan by ``terraform.yml``. Pure: everything unreadable, unlisted or unknown is denied."""

import re
from collections.abc import Iterator, Mapping, Sequence

from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.policies.evaluate import ACTIONS, Ruling, day
from factory.policies.model import Policies
from factory.policies.terraform import Companion, Demand, Noise, Terraform

# The names and the positions that lead to a value of a resource.
_Path = tuple[str | int, ...]
_ABSENT = object()
_UNKNOWN = object()
_HIDDEN = object()
_SHOWN = {id(_UNKNOWN): "known only after the apply", id(_HIDDEN): "sensitive", id(_ABSENT): "not set"}
_PLAIN = re.compile(r"[A-Za-z0-9_.*@-]+")


def judge(policies: Policies, plan: Plan, *, today: str) -> tuple[Ruling, ...]:
    """Return rulings on each resource of a plan and on the plan as a whole.

    ``today`` (``2026-12-31``) decides which noise rules are still valid; without a valid date none are.
    """
    rules, digest = policies.terraform, policies.digest
    if plan.problem:
        unread = {"stack": plan.stack, "problem": plan.problem}
        return (Ruling("plan.unreadable", False, plan.problem, unread, digest),)
    demands = _by_type(rules.demands)
    found = [ruling for item in plan.resources for ruling in _resource(rules, digest, item, demands.get(item.type, ()))]
    found += _companions(rules, digest, plan)
    return (*found, *_limits(rules, digest, plan, today))


def counted(policies: Policies, plan: Plan, *, today: str) -> tuple[PlannedChange, ...]:
    """Return the changes of a plan without provider noise."""
    ignored = _ignored(policies.terraform.noise, today)
    return tuple(item for item in plan.changes if not _is_noise(item, ignored.get(item.type)))


def _ignored(noise: tuple[Noise, ...], today: str) -> Mapping[str, set[str]]:
    """Return for each type the attributes that its provider changes by itself, by the noise rules valid on a day."""
    now, found = day(today), dict[str, set[str]]()
    for rule in noise:
        last = day(rule.expires)
        if now is not None and last is not None and now <= last:
            found.setdefault(rule.type, set()).add(rule.attribute)
    return found


def _is_noise(item: PlannedChange, ignored: set[str] | None) -> bool:
    """Return whether a change updates only ignored attributes; a value that cannot be compared is never noise."""
    if not ignored or item.actions != ("update",) or item.before is None or item.after is None:
        return False
    changed = list(_changed((), item.before, item.after, item.unknown or {}))
    return bool(changed) and all(any(_within(path, name) for name in ignored) for path in changed)


def _changed(path: _Path, before: object, after: object, unknown: object) -> Iterator[_Path]:
    """Yield the paths of the attributes that change or cannot be compared.

    A list of which elements were added or removed counts as one attribute.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping) and isinstance(unknown or {}, Mapping):
        later = unknown if isinstance(unknown, Mapping) else {}
        for name in dict.fromkeys((*before, *after, *later)):
            yield from _changed((*path, str(name)), before.get(name), after.get(name), later.get(name))
    elif isinstance(before, list) and isinstance(after, list) and _alike(before, after, unknown or before):
        # Terraform marks each element of a list, also of a list without unknown values.
        marks = unknown if isinstance(unknown, list) and unknown else [None] * len(after)
        for number, (old, new, mark) in enumerate(zip(before, after, marks, strict=True)):
            yield from _changed((*path, number), old, new, mark)
    elif before != after or unknown or _hides(before) or _hides(after):
        yield path


def _alike(*values: object) -> bool:
    """Return whether all values are lists of one length."""
    return len({len(value) if isinstance(value, list) else -1 for value in values}) == 1


def _within(path: _Path, attribute: str) -> bool:
    """Return whether a path is an attribute's or below it.

    In the attribute a position names one element of a list, and no position names each.
    """
    left = list(path)
    for name in attribute.split("."):
        while left and isinstance(left[0], int) and not name.isdigit():
            left.pop(0)
        if not left or str(left.pop(0)) != name:
            return False
    return True


def _hides(value: object) -> bool:
    """Return whether any part of a value is sensitive: two sensitive values that look equal may differ."""
    if isinstance(value, str):
        return value == SENSITIVE
    if isinstance(value, dict):
        return any(_hides(part) for part in value.values())
    if isinstance(value, list):
        return any(_hides(part) for part in value)
    return False


def _by_type(demands: tuple[Demand, ...]) -> Mapping[str, list[tuple[int, Demand]]]:
    """Return the demands on each type, each with its index in the policy."""
    found: dict[str, list[tuple[int, Demand]]] = {}
    for number, demand in enumerate(demands):
        found.setdefault(demand.type, []).append((number, demand))
    return found


def _resource(
    rules: Terraform, digest: str, item: PlannedChange, demands: Sequence[tuple[int, Demand]]
) -> Iterator[Ruling]:
    """Yield the rulings on one resource; an unchanged resource has none."""
    if item.actions == ("no-op",):
        return
    facts = {"address": item.address, "type": item.type, "actions": list(item.actions)}
    known = item.type in rules.types
    reason = f"{item.address}: policy {'lists' if known else 'does not list'} the resource type {item.type}"
    yield Ruling("plan.type", known, reason, facts, digest)
    if not item.actions or not ACTIONS.issuperset(item.actions):
        reason = f"{item.address}: policy does not know the action {', '.join(item.actions) or '(none)'}"
        yield Ruling("plan.action", False, reason, facts, digest)
    if item.origin and _guarded(rules, item.origin) and not _guarded(rules, item.address):
        yield Ruling("plan.protected", False, f"{item.origin} is protected and would be moved away", facts, digest)
    if "delete" in item.actions:
        yield from _destroy(rules, digest, item, facts)
    if item.after is not None:
        yield from _demands(demands, digest, item, facts)


def _destroy(rules: Terraform, digest: str, item: PlannedChange, facts: Mapping[str, object]) -> Iterator[Ruling]:
    if item.type in rules.protected.types or _guarded(rules, item.address):
        yield Ruling("plan.protected", False, f"{item.address} is protected and would be destroyed", facts, digest)
    words = "this needs a token that names this plan" if rules.destroy == "token" else "policy never allows this"
    reason = f"{item.address} would be destroyed; {words}"
    yield Ruling("plan.destroy", rules.destroy == "token", reason, facts, digest)


def _demands(
    demands: Sequence[tuple[int, Demand]], digest: str, item: PlannedChange, facts: Mapping[str, object]
) -> Iterator[Ruling]:
    for number, demand in demands:
        if not _matches(item, demand.where, re.IGNORECASE):
            continue
        value = _value(item, demand.attribute)
        shown = _SHOWN.get(id(value)) or repr(value)
        reason = f"{item.address}: {demand.attribute} is {shown}: {demand.reason}"
        yield Ruling("plan.demand", _holds(demand, value), reason, {**facts, "demand": number}, digest)


def _holds(demand: Demand, value: object) -> bool:
    if value is _UNKNOWN:
        return demand.unknown == "allow"
    if value is _HIDDEN:
        return False
    if demand.like is not None:
        return isinstance(value, str) and re.fullmatch(demand.like, value) is not None
    allowed = demand.one_of or (demand.equals,)
    # In Python True equals 1; in a plan they differ.
    return any(type(value) is type(each) and value == each for each in allowed)


def _matches(item: PlannedChange, where: Mapping[str, str], flags: int = 0) -> bool:
    """Return whether a rule applies to a resource; a hidden or unknown value counts as a match.

    A demand (``flags``) ignores the case of letters, and applies to every value with other than plain characters:
    providers take other spellings for the same value (the DNS record type ``cname``, the setting ``ssl?x`` in an
    address), so that no spelling evades it.
    """
    for attribute, pattern in where.items():
        value = _value(item, attribute)
        if not _seen(value) or (flags and isinstance(value, str) and not _PLAIN.fullmatch(value)):
            continue
        if re.fullmatch(pattern, value if isinstance(value, str) else "", flags) is None:
            return False
    return True


def _value(item: PlannedChange, attribute: str) -> object:
    """Return an attribute of the planned resource, by a path of names and positions."""
    value: object = item.after
    unknown: object = item.unknown
    for part in attribute.split("."):
        if isinstance(unknown, dict):
            unknown = unknown.get(part)
        elif isinstance(unknown, list):
            unknown = unknown[int(part)] if part.isdigit() and int(part) < len(unknown) else None
        if unknown is True:
            return _UNKNOWN
        if isinstance(value, dict):
            value = value.get(part, _ABSENT)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _HIDDEN if value == SENSITIVE else _ABSENT
    if _hides(value):
        return _HIDDEN
    return _ABSENT if value is None else value


def _companions(rules: Terraform, digest: str, plan: Plan) -> Iterator[Ruling]:
    kept = [item for item in plan.resources if item.after is not None]
    types = {item.type for item in kept}
    for number, rule in enumerate(rules.companions):
        if rule.beside in types:
            present = _has(kept, rule)
            named = ", ".join(f"{name} {pattern}" for name, pattern in rule.where.items())
            reason = (
                f"the plan has {rule.beside} {'and a' if present else 'but no'} {rule.type} with {named}: {rule.reason}"
            )
            facts = {"beside": rule.beside, "type": rule.type, "companion": number}
            yield Ruling("plan.companion", present, reason, facts, digest)


def _has(kept: list[PlannedChange], rule: Companion) -> bool:
    return any(
        item.type == rule.type and all(_seen(_value(item, name)) for name in rule.where) and _matches(item, rule.where)
        for item in kept
    )


def _limits(rules: Terraform, digest: str, plan: Plan, today: str) -> Iterator[Ruling]:
    limits = rules.limits
    ignored = _ignored(rules.noise, today)
    changes = [item for item in plan.changes if not _is_noise(item, ignored.get(item.type))]
    facts: dict[str, object] = {"changes": len(changes), "max_changes": limits.changes, "plan": plan.digest}
    reason = f"{len(changes)} resources change; the maximum is {limits.changes}"
    yield Ruling("plan.size", len(changes) <= limits.changes, reason, facts, digest)
    gone = len(plan.destroyed)
    reason = f"{gone} resources are destroyed; the maximum is {limits.destroys}"
    facts = {"destroys": gone, "max_destroys": limits.destroys, "plan": plan.digest}
    yield Ruling("plan.destroys", gone <= limits.destroys, reason, facts, digest)
    # An imported resource is not yet in this state: it does not count as existing, and its update not as touched.
    existing = sum(item.before is not None and "import" not in item.actions for item in plan.resources)
    touched = sum(item.before is not None and _touches(item.actions) for item in changes)
    facts = {"there": existing, "touched": touched, "max_percent": limits.percent, "plan": plan.digest}
    reason = f"{touched} of {existing} resources are changed or destroyed; the maximum is {limits.percent} %"
    yield Ruling("plan.percent", touched * 100 <= limits.percent * existing, reason, facts, digest)


def _touches(actions: Sequence[str]) -> bool:
    return "delete" in actions or ("update" in actions and "import" not in actions)


def _seen(value: object) -> bool:
    return value is not _UNKNOWN and value is not _HIDDEN


def _guarded(rules: Terraform, address: str) -> bool:
    return any(_below(address, each) for each in rules.protected.addresses)


def _below(address: str, root: str) -> bool:
    return address == root or address.startswith((f"{root}.", f"{root}["))
