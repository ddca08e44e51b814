"""Reads and runs the examples in ``policies/cases/*.yml``: what must be allowed or denied, and by which rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.errors import InvalidInput
from factory.model.facts import Change, ChangedFile, Origin, Plan, PlannedChange
from factory.policies import evaluate, plans
from factory.policies.evaluate import Ruling
from factory.policies.fields import Action, Strict
from factory.policies.model import Policies
from factory.policies.problems import document, parse
from factory.policies.read import CASES

_SUBJECTS = ("path", "change", "plan", "approval")
Text = Annotated[str, Field(min_length=1, max_length=200)]
Lines = Annotated[int, Field(ge=0, le=1_000_000)]


class CaseFile(Strict):
    """One changed file: git's status letter (``S`` is a submodule), and the number of added and removed lines."""

    path: str
    status: Literal["A", "M", "D", "T", "S"] = "M"
    added: Lines = 1
    removed: Lines = 0


class CaseChange(Strict):
    """A change: the account that opened its merge request, those that pushed to it, its branch and its files."""

    author: str = ""
    pushers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    branch: str = ""
    files: Annotated[tuple[CaseFile, ...], Field(strict=False)]


class CaseResource(Strict):
    """One resource of a plan: its actions with Terraform's names, and its values before and after."""

    address: Text
    type: Text
    actions: Annotated[tuple[str, ...], Field(strict=False)]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    unknown: dict[str, Any] | None = None


class CasePlan(Strict):
    """A Terraform plan; ``problem`` says why it cannot be read, ``today`` is the day on which it is judged."""

    changes: Annotated[tuple[CaseResource, ...], Field(strict=False)] = ()
    problem: str = ""
    today: str = ""


class CaseApproval(Strict):
    """A merge: the paths that it changes, the actions of its plan, and the number of approvals given."""

    paths: Annotated[tuple[str, ...], Field(strict=False)] = ()
    actions: Annotated[tuple[Action, ...], Field(strict=False)] = ()
    given: Annotated[int, Field(ge=0, le=100)]


class Example(Strict):
    """One example: exactly one of ``path``, ``change``, ``plan`` and ``approval``, and the rule that must decide it."""

    name: Text
    path: str | None = None
    status: Literal["A", "M", "D", "T", "S"] = "M"
    change: CaseChange | None = None
    plan: CasePlan | None = None
    approval: CaseApproval | None = None
    expect: Literal["allowed", "denied"]
    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$")]


class Cases(Strict):
    """``cases/<name>.yml``: examples that ``factory policy test`` runs."""

    cases: Annotated[tuple[Example, ...], Field(min_length=1, strict=False)]


@dataclass(frozen=True)
class Case:
    """An example, and its file and line."""

    where: str
    example: Example


@dataclass(frozen=True)
class CaseResult:
    """The result of a case: the expected and the actual decision, with all rulings."""

    name: str
    where: str
    passed: bool
    expected: str
    got: str
    rulings: tuple[Ruling, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON value."""
        return {**vars(self), "rulings": [ruling.to_json() for ruling in self.rulings]}


def read(files: Mapping[str, bytes]) -> tuple[Case, ...]:
    """Return the cases in ``policies/cases/*.yml`` by file and line; other files are ignored.

    Raises ``InvalidInput`` with file, line and key for an invalid case and for a duplicate name.
    """
    found: list[Case] = []
    names: dict[str, str] = {}
    for path in sorted(name for name in files if name.startswith(CASES) and name.endswith((".yml", ".yaml"))):
        given = document(path, files[path])
        cases, problems = parse(Cases, given)
        if cases is None:
            raise InvalidInput(problems[0])
        for number, example in enumerate(cases.cases):
            key = ("cases", number)
            if [getattr(example, name) is not None for name in _SUBJECTS].count(True) != 1:
                raise InvalidInput(given.problem(key, f"give exactly one of {', '.join(_SUBJECTS)}"))
            where = f"{path}:{given.marks.line(key)}"
            if example.name in names:
                message = f"{names[example.name]} already has the name {example.name!r}; choose another"
                raise InvalidInput(given.problem((*key, "name"), message))
            names[example.name] = where
            found.append(Case(where, example))
    return tuple(found)


def run(policies: Policies, cases: Sequence[Case]) -> tuple[CaseResult, ...]:
    """Return the result of each case; a case passes if the decision and the deciding rule are as expected."""
    return tuple(_result(policies, case) for case in cases)


def passed(results: Sequence[CaseResult]) -> bool:
    """Return whether all cases passed; ``False`` if there are no cases."""
    return bool(results) and all(result.passed for result in results)


def _result(policies: Policies, case: Case) -> CaseResult:
    example = case.example
    rulings = _judge(policies, example)
    outcome = evaluate.allows(rulings)
    rules = {ruling.rule for ruling in rulings if ruling.allowed == outcome}
    word = "allowed" if outcome else "denied"
    return CaseResult(
        name=example.name,
        where=case.where,
        passed=word == example.expect and example.rule in rules,
        expected=f"{example.expect} by {example.rule}",
        got=f"{word} by {', '.join(sorted(rules)) or 'no rule'}",
        rulings=rulings,
    )


def _judge(policies: Policies, example: Example) -> tuple[Ruling, ...]:
    if example.path is not None:
        return (evaluate.path(policies, example.path, status=example.status),)
    if example.change is not None:
        given = example.change
        files = tuple(ChangedFile(item.path, item.status, item.added, item.removed) for item in given.files)
        made = Change("", "", files, origin=Origin(given.author, given.pushers, given.branch))
        return evaluate.scope(policies, made)
    if example.plan is not None:
        given_plan = example.plan
        resources = tuple(PlannedChange(**dict(item)) for item in given_plan.changes)
        return plans.judge(policies, Plan("", "", resources, given_plan.problem), today=given_plan.today)
    if example.approval is not None:
        asked = example.approval
        touched = Change("", "", tuple(ChangedFile(path, "M", 1, 0) for path in asked.paths))
        taken = Plan("", "", (PlannedChange("example", "example", asked.actions),) if asked.actions else ())
        return evaluate.approved(policies, evaluate.needed(policies, touched, (taken,)), asked.given)
    return ()
