"""Whole rulings with reasons and facts, held against the text that a person read once: rulings.txt.

`python -m tests.policies.test_rulings` writes the file anew; read the difference before you commit it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from factory.model.facts import Change, ChangedFile, Origin, Plan, PlannedChange
from factory.model.verdict import Finding
from factory.policies import evaluate, plans
from factory.policies.evaluate import Ruling
from factory.policies.folder import read_folder
from factory.policies.model import Approvals, Exceptions, Excuse, Policies
from factory.policies.terraform import Companion, Demand, Limits, ProtectedResources
from tests.servers import ROOT

READ = Path(__file__).with_name("rulings.txt")
TODAY = "2026-01-01"


def _policies() -> Policies:
    found = read_folder(ROOT)
    terraform = found.terraform.model_copy(
        update={
            "types": ("a_t", "a_zone"),
            "protected": ProtectedResources(types=("a_zone",), addresses=("module.a", "a_t.kept")),
            "destroy": "token",
            "limits": Limits(changes=2, destroys=1, percent=50),
            "demands": (Demand(type="a_t", attribute="flag", equals=True, reason="it must be so"),),
            "companions": (Companion(beside="a_zone", type="a_t", where={"name": "s.*"}, reason="it stands beside"),),
            "noise": (),
        }
    )
    scope = found.scope.model_copy(
        update={
            "agents": ("bot",),
            "allowed": ("apps/**",),
            "protected": ("apps/*/spec",),
            "max_files": 2,
            "max_lines": 9,
        }
    )
    approvals = Approvals.model_validate(
        {
            "merge": {"required": 1, "approvers": []},
            "risks": {
                "judge": {"paths": ["policies/**"], "required": 2, "decide": "Is it as strict as before?"},
                "destroy": {"actions": ["delete"], "required": 3, "decide": "May this be destroyed?"},
            },
        }
    )
    return found.model_copy(
        update={"terraform": terraform, "scope": scope, "approvals": approvals, "digest": "sha256:policy"}
    )


POLICIES = _policies()


def _resource(
    address: str, kind: str, actions: str, before: Any = None, after: Any = None, **more: Any
) -> PlannedChange:
    return PlannedChange(address, kind, tuple(actions.split()), before=before, after=after, **more)


FLAG = {"flag": True}
PLANS = {
    "created": [_resource("a_t.x", "a_t", "create", after=FLAG)],
    "unchanged": [_resource("a_t.x", "a_t", "no-op", before={"flag": False}, after={"flag": False})],
    "unknown": [_resource("u.x", "a_u", "forget create", after={})],
    "protected by type": [
        _resource("a_zone.z", "a_zone", "delete", before={}),
        _resource("a_t.s", "a_t", "update", before={**FLAG, "name": "s1"}, after={"flag": False, "name": "s1"}),
    ],
    "protected by module": [_resource("module.a.a_t.x", "a_t", "delete create", before={"flag": 1}, after=FLAG)],
    "protected by address": [
        _resource('a_t.kept["a"]', "a_t", "delete", before={}),
        _resource("a_t.keptx", "a_t", "delete", before={}),
    ],
    "moved away": [_resource("a_t.new", "a_t", "move", before=FLAG, after=FLAG, origin="a_t.kept")],
    "moved within": [_resource("a_t.kept[0]", "a_t", "move", before=FLAG, after=FLAG, origin="a_t.kept")],
    "with its companion": [
        _resource("a_zone.z", "a_zone", "create", after={}),
        _resource("a_t.s", "a_t", "no-op", before={**FLAG, "name": "s2"}, after={**FLAG, "name": "s2"}),
    ],
    "with an unknown companion": [
        _resource("a_zone.z", "a_zone", "create", after={}),
        _resource("a_t.s", "a_t", "create", after=FLAG, unknown={"name": True}),
    ],
    "imported": [_resource("a_t.a", "a_t", "import update", before=FLAG, after={**FLAG, "x": 1})],
    "half": [
        _resource("a_t.a", "a_t", "update", before=FLAG, after={**FLAG, "x": 1}),
        _resource("a_t.b", "a_t", "no-op", before=FLAG, after=FLAG),
    ],
}


def _shown(rulings: tuple[Ruling, ...]) -> Iterator[str]:
    for item in rulings:
        yield f"{'allowed' if item.allowed else 'denied '} {item.rule}: {item.reason} {dict(item.facts)} {item.policy}"


def _made(*files: str, author: str = "bot", added: int = 1, line: str = "", pushers: tuple[str, ...] = ()) -> Change:
    lines = ((1, line),) if line else ()
    changed = tuple(ChangedFile(path, "M", added, 0, lines) for path in files)
    return Change("base", "head", changed, origin=Origin(author, pushers, "mine"))


def _told() -> Iterator[str]:
    for name, items in PLANS.items():
        yield f"== plan: {name}"
        yield from _shown(plans.judge(POLICIES, Plan("s", "sha256:plan", tuple(items)), today=TODAY))
    yield "== plan: unreadable"
    yield from _shown(plans.judge(POLICIES, Plan("s", "", problem="it is gone"), today=TODAY))
    never = POLICIES.model_copy(update={"terraform": POLICIES.terraform.model_copy(update={"destroy": "never"})})
    yield "== plan: nothing may be destroyed"
    yield from _shown(plans.judge(never, Plan("s", "", (_resource("a_t.x", "a_t", "delete", before={}),)), today=TODAY))
    yield "== paths"
    for path, status in [
        ("apps/a", "M"), ("apps/a/spec", "M"), ("docs/a", "M"), ("apps/a", "S"), ("apps/a", "L"), ("apps/../a", "M"),
    ]:  # fmt: skip
        yield from _shown((evaluate.path(POLICIES, path, status=status),))
    yield "== changes"
    for made in [
        _made(), _made("apps/a"), _made("apps/a", "apps/b", "apps/c"), _made("apps/a", added=10),
        _made("apps/a", line="x" * 1799), _made("apps/a", line="x" * 1800), _made("apps/a", author="me"),
        _made("apps/a", author="me", pushers=("BOT",)), _made("apps/a", author=""),
    ]:  # fmt: skip
        yield from _shown(evaluate.scope(POLICIES, made))
    yield "== approvals"
    gone = Plan("s", "", (_resource("a_t.x", "a_t", "delete", before={}),))
    odd = Plan("s", "", (_resource("a_t.x", "a_t", "forget"),))
    for change, planned in [
        (_made("apps/a"), ()), (_made("policies/a", "apps/b"), ()), (_made("apps/a"), (gone,)), (None, (odd,)),
        (_made("a\\\\b"), (Plan("s", "", problem="it is gone"),)),
    ]:  # fmt: skip
        needed = evaluate.needed(POLICIES, change, planned)
        yield f"{needed}"
        for given in (0, 1, 2, 3):
            yield from _shown(evaluate.approved(POLICIES, needed, given))
    yield "== exceptions"
    found = [Finding("lint.e501", "long", "Shorten it.", "a.py"), Finding("scope.path", "no", "Move it.", "a.py")]
    rules = Exceptions(
        exceptions=tuple(
            Excuse.model_validate(
                {"rule": rule, "subject": "a.py", "owner": "me", "reason": "it is right so", "expires": last}
            )
            for rule, last in [("lint.e501", "2026-01-01"), ("lint.f401", "2025-12-31")]
        )
    )
    for today in ("2025-12-31", "2026-01-01", "2026-01-02", "soon"):
        yield f"{today}: {evaluate.excuse(found, rules, today=today)}"
    yield f"none: {evaluate.excuse(found, Exceptions(exceptions=()), today='soon')}"


def test_every_ruling_is_as_it_was_read() -> None:
    assert "\n".join(_told()) + "\n" == READ.read_text()


if __name__ == "__main__":
    READ.write_text("\n".join(_told()) + "\n")
