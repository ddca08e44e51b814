"""Detects drift in each stack: changes made outside terraform since the state was written.

A refresh-only plan compares the state with the real resources, not with the configuration, so the release that the
variables name does not matter. The plan needs only a read token, takes no lock and writes no state.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.errors import FactoryError, InvalidInput, ToolFailed
from factory.model.facts import PlannedChange
from factory.system import canonical, files
from factory.terraform.manifest import drifted
from factory.terraform.plan import PLAN_FILE, Stack
from factory.terraform.program import Terraform

Counts = Callable[[PlannedChange], bool]


@dataclass(frozen=True)
class Report:
    """The drift of one stack at a commit; ``problem`` says why the drift is unknown.

    ``before`` and ``after`` of an updated resource have only the attributes that differ; sensitive values are redacted.
    """

    stack: str
    commit: str
    resources: tuple[PlannedChange, ...] = ()
    problem: str = ""

    @property
    def clean(self) -> bool:
        """Whether the real resources match the state."""
        return not self.resources and not self.problem

    @property
    def fingerprint(self) -> str:
        """The digest of the drifted resources; the same drift always has the same digest."""
        return canonical.digest_of([_to_json(item) for item in self.resources])

    def encode(self) -> bytes:
        """Return the report's canonical JSON."""
        return canonical.encode(
            {
                "stack": self.stack,
                "commit": self.commit,
                "clean": self.clean,
                "fingerprint": self.fingerprint,
                "resources": [_to_json(item) for item in self.resources],
                "problem": self.problem,
            }
        )


@dataclass(frozen=True)
class DriftResult:
    """The result of checking one stack; ``error`` is set if the check failed."""

    report: Report
    error: FactoryError | None = None


def decode(data: bytes) -> Report:
    """Return the report in a file's bytes; raises ``InvalidInput``, also if the fingerprint does not match."""
    try:
        value = json.loads(data)
        resources = tuple(_from_json(item) for item in value["resources"])
        found = Report(str(value["stack"]), str(value["commit"]), resources, str(value["problem"]))
        if value["fingerprint"] != found.fingerprint:
            raise InvalidInput("the drift report's fingerprint does not match its resources")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput("the drift report is not readable") from error
    return found


def look_all(stacks: Sequence[Stack], out: Path, counts: Counts, *, parallel: int) -> list[DriftResult]:
    """Check the stacks, ``parallel`` at a time, and write each report to ``out/<stack>.json``.

    ``counts`` returns whether a change is more than the provider's noise. If a stack fails, its result has the error.
    """
    files.remove_tree(out)

    def one(stack: Stack) -> DriftResult:
        try:
            result = DriftResult(look(stack, out.with_name(f"{out.name}-work") / stack.name, counts))
        except FactoryError as error:
            result = DriftResult(Report(stack.name, stack.commit, problem=stack.redacted(str(error))), error)
        files.write_atomic(out / f"{stack.name}.json", result.report.encode())
        return result

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        return list(pool.map(one, stacks))


def look(stack: Stack, work: Path, counts: Counts) -> Report:
    """Check one stack in the folder ``work``, which is removed afterwards because plan files have values in plain text.

    Raises ``NotFound`` or ``Refused`` if the source check rejects the stack's source, and the errors of ``Terraform``.
    """
    try:
        terraform = stack.work(work, stack.source())
        terraform.start()
        terraform.write_plan(PLAN_FILE, lock=False, refresh_only=True)
        shown = json.loads(stack.redacted(terraform.show(PLAN_FILE)))
        # A provider's schema may be megabytes long, so it is requested only if something differs.
        found = drifted(shown, _schemas(terraform) if shown.get("resource_drift") else {})
    except (ValueError, RecursionError) as error:
        raise ToolFailed("terraform's JSON of the plan is not readable") from error
    finally:
        files.remove_tree(work)
    kept = (_counted(_from_json(item), counts) for item in found)
    return Report(stack.name, stack.commit, tuple(item for item in kept if item is not None))


def _schemas(terraform: Terraform) -> dict[str, Any]:
    """Return the attributes of every resource type that the providers of an initialised folder have."""
    providers = json.loads(terraform.cmd("providers", "schema", "-json")[1])["provider_schemas"].values()
    types = [item for provider in providers for item in (provider.get("resource_schemas") or {}).items()]
    return {name: found["block"].get("attributes") or {} for name, found in types}


def _counted(item: PlannedChange, counts: Counts) -> PlannedChange | None:
    """Return a change without the attributes that are noise, or ``None`` if none remains."""
    if item.actions != ("update",):
        return item if counts(item) else None
    before, after = item.before or {}, item.after or {}
    kept = [name for name in before if counts(_only(item, [name]))]
    return _only(item, kept) if kept and after else None


def _only(item: PlannedChange, names: Sequence[str]) -> PlannedChange:
    before, after = item.before or {}, item.after or {}
    return replace(item, before={name: before[name] for name in names}, after={name: after[name] for name in names})


def _to_json(item: PlannedChange) -> dict[str, Any]:
    before, after = item.before or {}, item.after or {}
    return {
        "address": item.address,
        "type": item.type,
        "actions": list(item.actions),
        "changed": {name: {"before": before[name], "after": after[name]} for name in sorted(before)},
    }


def _from_json(item: Mapping[str, Any]) -> PlannedChange:
    before, after = ({str(name): both[side] for name, both in item["changed"].items()} for side in ("before", "after"))
    return PlannedChange(str(item["address"]), str(item["type"]), tuple(map(str, item["actions"])), before, after)
