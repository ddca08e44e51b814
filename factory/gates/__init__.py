"""Pure judges of facts: one file per gate, one literal registry."""

from collections.abc import Callable, Mapping

from factory.gates import contract, plan, scope, secrets, spec, unit
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

Judge = Callable[[Facts, Policies], Verdict]

GATES: Mapping[str, Judge] = {
    "scope": scope.judge,
    "secrets": secrets.judge,
    "spec": spec.judge,
    "unit": unit.judge,
    "contract": contract.judge,
    "plan": plan.judge,
}
