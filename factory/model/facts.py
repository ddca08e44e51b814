"""The facts that checks collect and gates judge. An unavailable fact is ``None`` or absent."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from factory.model.app_paths import APPS
from factory.model.child_pipeline import ChildPipeline
from factory.model.tool_run import OwnCheck, ToolRun


@dataclass(frozen=True)
class ChangedFile:
    """One changed file: its status, line counts, and the added lines with their numbers in the new file."""

    path: str
    status: str
    added: int
    removed: int
    lines: tuple[tuple[int, str], ...] = ()
    binary: bool = False


@dataclass(frozen=True)
class Origin:
    """Whose a change is: the account that opened the merge request, those that pushed its commits, its source branch.

    ``author`` is empty if the accounts are unknown; ``problem`` then says why.
    """

    author: str = ""
    pushers: tuple[str, ...] = ()
    branch: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Change:
    """The difference between two commits, with the messages of the commits in between.

    ``behind`` counts the target's commits that the change lacks, ``merges`` counts its merge commits. ``problem`` says
    why the change could not be read; it then has neither files nor messages.
    """

    base: str
    head: str
    files: tuple[ChangedFile, ...]
    messages: tuple[str, ...] = ()
    origin: Origin = Origin()
    behind: int = 0
    merges: int = 0
    problem: str = ""


# How the one case of a command without a report ends.
EXIT_CODE = "(exit code)"


@dataclass(frozen=True)
class TestCase:
    """One test's outcome: ``success``, ``failed``, ``error`` or ``skipped``.

    ``app`` is the app whose own command reported it; its sources are not read. ``requirements`` are those that the
    report's properties name.
    """

    __test__ = False

    name: str
    outcome: str
    message: str = ""
    path: str = ""
    line: int = 0
    app: str = ""
    requirements: tuple[str, ...] = ()

    def cites(self, requirement: str) -> bool:
        """Return whether the case names a requirement, in its name or in a property."""
        named = re.search(rf"(?<![\w-]){re.escape(requirement)}(?![\w-])", self.name)
        return requirement in self.requirements or named is not None


@dataclass(frozen=True)
class TestRun:
    """A JUnit report's claims; ``problem`` says why it is missing; ``code`` is the suite's exit code, if known."""

    __test__ = False

    cases: tuple[TestCase, ...] = ()
    problem: str = ""
    code: int | None = None

    @classmethod
    def joined(cls, runs: Sequence["TestRun"]) -> "TestRun":
        """Return the reports of several suites as one, with the first problem and the largest exit code."""
        problem = next((run.problem for run in runs if run.problem), "")
        codes = [run.code for run in runs if run.code is not None]
        return cls(tuple(case for run in runs for case in run.cases), problem, max(codes, default=0))


@dataclass(frozen=True)
class CitedTest:
    """A test function in the sources.

    ``requirements`` are the requirements that it cites by ``@pytest.mark.spec``. ``asserts`` is the weight of its
    assertions: 2 for each comparison for equality, 1 for any other. ``skipped`` tells that it is marked to be skipped
    or to fail, or skips itself. ``lines`` are the lines of its assertions.
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
    """The lines that tests ran and missed, by file; ``problem`` says why they are unknown."""

    executed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    missing: tuple[tuple[str, tuple[int, ...]], ...] = ()
    problem: str = ""

    @classmethod
    def joined(cls, parts: Sequence["Coverage"]) -> "Coverage":
        """Return the lines of several suites as those of one; files without a report count as not run."""
        executed = dict(pair for part in parts for pair in part.executed)
        missing = dict(pair for part in parts for pair in part.missing)
        return cls(tuple(sorted(executed.items())), tuple(sorted(missing.items())))


@dataclass(frozen=True)
class Dependency:
    """A package that a manifest or lock file names; ``pinned`` tells that the file names one version or digest."""

    name: str
    version: str
    path: str
    line: int
    pinned: bool


@dataclass(frozen=True)
class Timing:
    """The median duration of one benchmark at the base and at the head, in seconds."""

    name: str
    base: float
    head: float


@dataclass(frozen=True)
class SessionEvidence:
    """The evidence branch's statements about the change's session; ``problem`` says which one is invalid."""

    claim: bool = False
    attempt: bool = False
    problem: str = ""


# Replaces each value that Terraform marks as sensitive.
SENSITIVE = "(sensitive)"


@dataclass(frozen=True)
class PlannedChange:
    """One resource of a Terraform plan, and its planned actions.

    ``actions`` are Terraform's actions, plus ``import`` and ``move``, which Terraform reports separately. ``before``
    and ``after`` are the resource's values (``None``: the resource does not exist), sensitive values as ``SENSITIVE``.
    ``unknown`` has ``true`` at each value of ``after`` that is known only after the apply. ``origin`` is the old
    address of a moved resource.
    """

    address: str
    type: str
    actions: tuple[str, ...]
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    unknown: Mapping[str, object] | None = None
    origin: str = ""

    @property
    def changes(self) -> bool:
        """Return whether the plan changes the resource; ``read`` is the action of a data source."""
        return self.actions not in {("no-op",), ("read",)}


@dataclass(frozen=True)
class Plan:
    """A Terraform plan of one stack: ``digest`` of its normalised JSON; ``problem`` says why it cannot be read."""

    stack: str
    digest: str
    resources: tuple[PlannedChange, ...] = ()
    problem: str = ""
    commit: str = ""

    @property
    def changes(self) -> tuple[PlannedChange, ...]:
        """Return the resources that the plan changes."""
        return tuple(item for item in self.resources if item.changes)

    @property
    def destroyed(self) -> tuple[str, ...]:
        """Return the addresses of the destroyed or replaced resources."""
        return tuple(item.address for item in self.changes if "delete" in item.actions)


@dataclass(frozen=True)
class SpecFacts:
    """The spec that a change names, as of the judge's commit; ``problem`` says why it cannot be used.

    ``requirements`` are its ids, each with the digest of the requirement and its scenarios. ``small`` is the issue that
    needs no spec. ``unnamed``: the commits name no spec.
    """

    id: str = ""
    status: str = ""
    digest: str = ""
    problem: str = ""
    requirements: tuple[tuple[str, str], ...] = ()
    findings: int = 0
    small: str = ""
    unnamed: bool = False


@dataclass(frozen=True)
class Facts:
    """All facts for one run of the gates; ``date`` is the day (ISO 8601) for which exceptions are evaluated.

    ``own_before`` and ``own_after`` say for each app with tests of its own how they run, before and after the change;
    ``own_base`` is what those of the touched apps reported before it.
    ``checks_before`` and ``checks_after`` are the apps' own checks before and after the change, ``checks_base`` and
    ``checks_head`` what they reported of the files of both.
    ``trust`` has what the change loses of the keys in ``policies/trust.yml``, each in a sentence.
    """

    date: str = ""
    change: Change | None = None
    spec: SpecFacts | None = None
    tests: tuple[tuple[str, TestRun], ...] = ()
    before: tuple[CitedTest, ...] | None = None
    after: tuple[CitedTest, ...] | None = None
    own_before: tuple[tuple[str, str], ...] = ()
    own_after: tuple[tuple[str, str], ...] = ()
    own_base: TestRun = TestRun()
    checks_before: tuple[OwnCheck, ...] = ()
    checks_after: tuple[OwnCheck, ...] = ()
    checks_base: tuple[OwnCheck, ...] = ()
    checks_head: tuple[OwnCheck, ...] = ()
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
    trust: tuple[str, ...] = ()
    own_pipeline: ChildPipeline | None = None

    def to_json(self) -> dict[str, object]:
        """Return the facts as a JSON value."""
        return asdict(self)

    @property
    def own_touched(self) -> tuple[str, ...]:
        """The apps that had tests of their own before a change of their files."""
        return tuple(app for app, _ in self.own_before if self.touches(app))

    @property
    def earlier(self) -> tuple[str, ...]:
        """The touched apps whose own tests or checks run on the files before the change too."""
        return tuple(sorted({*self.own_touched, *(item.app for item in self.checks_after if self.touches(item.app))}))

    def touches(self, app: str) -> bool:
        """Return whether the change has a file of an app below ``apps/``."""
        return any(file.path.startswith(f"{APPS}{app}/") for file in (self.change.files if self.change else ()))

    def own_cases(self) -> tuple[TestCase, ...]:
        """Return what the apps with tests of their own reported."""
        apps = dict(self.own_after)
        return tuple(case for _, run in self.tests for case in run.cases if case.app in apps)

    def suite(self, name: str) -> TestRun | None:
        """Return the run of one test suite."""
        return dict(self.tests).get(name)
