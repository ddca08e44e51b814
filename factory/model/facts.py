"""What checks found out, as values that gates judge. A fact that could not be had is ``None`` or absent."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ChangedFile:
    """One changed file: how, how much, and the lines it adds, with their numbers in the new file."""

    path: str
    status: str
    added: int
    removed: int
    lines: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Change:
    """What lies between two commits, what its commit messages say, and whose push it is (empty: not known)."""

    base: str
    head: str
    files: tuple[ChangedFile, ...]
    messages: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True)
class TestCase:
    """One test's outcome: ``success``, ``failed``, ``error`` or ``skipped``."""

    __test__ = False

    name: str
    outcome: str
    message: str = ""
    path: str = ""
    line: int = 0


@dataclass(frozen=True)
class TestRun:
    """What a JUnit report claims; ``problem`` says why there is none."""

    __test__ = False

    cases: tuple[TestCase, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class PlannedChange:
    """One resource of a Terraform plan and what would be done to it."""

    address: str
    type: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A Terraform plan in short; ``digest`` is that of its normalised JSON."""

    stack: str
    digest: str
    changes: tuple[PlannedChange, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class SpecFacts:
    """The spec that a change names, as the judge's commit has it; ``problem`` says why it can't be used."""

    id: str = ""
    status: str = ""
    digest: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything a run of the gates judges."""

    change: Change | None = None
    spec: SpecFacts | None = None
    tests: tuple[tuple[str, TestRun], ...] = ()
    plan: Plan | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON value."""
        return asdict(self)

    def suite(self, name: str) -> TestRun | None:
        """Return the run of one test suite."""
        return dict(self.tests).get(name)
