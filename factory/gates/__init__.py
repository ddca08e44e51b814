"""Registers the gates; each gate is a pure function in its own module."""

from collections.abc import Callable, Mapping

from factory.gates import (
    commits,
    contract,
    dependencies,
    evidence,
    lint,
    own_pipeline,
    performance,
    plan,
    scope,
    secrets,
    security,
    spec,
    types,
    unit,
    up_to_date,
)
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

Judge = Callable[[Facts, Policies], Verdict]

GATES: Mapping[str, Judge] = {
    "scope": scope.judge,
    "secrets": secrets.judge,
    "spec": spec.judge,
    "unit": unit.judge,
    "types": types.judge,
    "lint": lint.judge,
    "security": security.judge,
    "dependencies": dependencies.judge,
    "commits": commits.judge,
    "up_to_date": up_to_date.judge,
    "evidence": evidence.judge,
    "contract": contract.judge,
    "performance": performance.judge,
    "own_pipeline": own_pipeline.judge,
    "plan": plan.judge,
}
