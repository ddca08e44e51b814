"""What checks found out, as values that gates judge. A fact that could not be had is ``None`` or absent."""

from collections.abc import Mapping
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
    binary: bool = False


@dataclass(frozen=True)
class Change:
    """What lies between two commits, what the commits say, and whose they are.

    ``author`` is the account that pushed or started the pipeline (empty: not known), ``emails`` are the commits'
    authors and committers, ``branch`` is the merge request's source, ``behind`` counts the target's commits that the
    change lacks, ``merges`` its merge commits.
    """

    base: str
    head: str
    files: tuple[ChangedFile, ...]
    messages: tuple[str, ...] = ()
    author: str = ""
    emails: tuple[str, ...] = ()
    branch: str = ""
    behind: int = 0
    merges: int = 0


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
    """What a JUnit report claims; ``problem`` says why there is none, ``code`` is the exit code beside it, if known."""

    __test__ = False

    cases: tuple[TestCase, ...] = ()
    problem: str = ""
    code: int | None = None


@dataclass(frozen=True)
class CitedTest:
    """A test function in the sources.

    ``requirements`` are those that it cites by ``@pytest.mark.spec``; ``asserts`` is how much its assertions say (2 for
    each that compares for equality, 1 for any other); ``skipped`` where it is marked to be skipped or to fail, or
    skips itself; ``lines`` are those of its assertions.
    """

    path: str
    name: str
    line: int
    requirements: tuple[str, ...] = ()
    asserts: int = 0
    skipped: bool = False
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """Which lines tests ran and which they missed, by file; ``problem`` says why that is not known."""

    executed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    missing: tuple[tuple[str, tuple[int, ...]], ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Problem:
    """What a tool found: its own rule's name, where, and what it says."""

    rule: str
    path: str
    line: int
    message: str


@dataclass(frozen=True)
class ToolRun:
    """All that one tool found; ``problem`` says why it could not run."""

    problems: tuple[Problem, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Dependency:
    """A package that a manifest or lock file names; ``pinned`` where it names one version or digest."""

    name: str
    version: str
    path: str
    line: int
    pinned: bool


@dataclass(frozen=True)
class Timing:
    """How long one benchmark takes at the base and at the head, in seconds (medians)."""

    name: str
    base: float
    head: float


@dataclass(frozen=True)
class SessionEvidence:
    """What the evidence branch holds of the change's session; ``problem`` says what does not verify."""

    claim: bool = False
    attempt: bool = False
    problem: str = ""


# What stands for a value that Terraform marks as sensitive.
SENSITIVE = "(sensitive)"


@dataclass(frozen=True)
class PlannedChange:
    """One resource of a Terraform plan, and what would be done to it.

    ``actions`` are Terraform's, with ``import`` and ``move`` beside them, which Terraform tells apart. ``before`` and
    ``after`` are its values (``None``: it is not there), sensitive ones as ``SENSITIVE``; ``unknown`` has ``true`` at
    each value of ``after`` that is known only after the apply. ``origin`` is the address that it is moved from.
    """

    address: str
    type: str
    actions: tuple[str, ...]
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    unknown: Mapping[str, Any] | None = None
    origin: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything is done to it; a ``read`` is a data source's."""
        return self.actions not in {("no-op",), ("read",)}


@dataclass(frozen=True)
class Plan:
    """A Terraform plan of one stack; ``digest`` is that of its normalised JSON, ``problem`` why it can't be read."""

    stack: str
    digest: str
    resources: tuple[PlannedChange, ...] = ()
    problem: str = ""
    commit: str = ""

    @property
    def changes(self) -> tuple[PlannedChange, ...]:
        """Return the resources that something is done to."""
        return tuple(item for item in self.resources if item.changes)

    @property
    def destroyed(self) -> tuple[str, ...]:
        """Return the addresses that are destroyed or replaced."""
        return tuple(item.address for item in self.changes if "delete" in item.actions)


@dataclass(frozen=True)
class SpecFacts:
    """The spec that a change names, as the judge's commit has it; ``problem`` says why it can't be used.

    ``requirements`` are its ids with the digest of requirement and scenarios, ``small`` the issue that needs no spec.
    """

    id: str = ""
    status: str = ""
    digest: str = ""
    problem: str = ""
    requirements: tuple[tuple[str, str], ...] = ()
    findings: int = 0
    small: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything a run of the gates judges; ``date`` is the day (ISO 8601) on which exceptions are looked at."""

    date: str = ""
    change: Change | None = None
    spec: SpecFacts | None = None
    tests: tuple[tuple[str, TestRun], ...] = ()
    before: tuple[CitedTest, ...] | None = None
    after: tuple[CitedTest, ...] | None = None
    coverage: Coverage | None = None
    lint: ToolRun | None = None
    types: ToolRun | None = None
    security: ToolRun | None = None
    history: ToolRun | None = None
    scanned: ToolRun | None = None
    dependencies: tuple[tuple[Dependency, ...], tuple[Dependency, ...]] | None = None
    timings: tuple[Timing, ...] | None = None
    recorded: SessionEvidence | None = None
    plans: tuple[Plan, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as a JSON value."""
        return asdict(self)

    def suite(self, name: str) -> TestRun | None:
        """Return the run of one test suite."""
        return dict(self.tests).get(name)
