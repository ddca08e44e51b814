"""Traces requirements to issues, merge requests, commits, tests and results, and finds missing links. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from factory.model.facts import CitedTest
from factory.model.verdict import Finding
from factory.specs.read import Requirement, Spec, path_of
from factory.specs.rules import RULES

WAIVERS = "policies/exceptions.yml"
_BAD = frozenset({"failed", "error"})


@dataclass(frozen=True)
class Issue:
    """An issue and the spec that it names."""

    iid: int
    spec: str = ""


@dataclass(frozen=True)
class MergeRequest:
    """A merge request, its issue, and what its trailers cite."""

    iid: int
    spec: str = ""
    requirements: tuple[str, ...] = ()
    issue: int = 0


@dataclass(frozen=True)
class Commit:
    """A commit, what its trailers cite, and its issue and merge request (0: unknown)."""

    sha: str
    spec: str = ""
    requirements: tuple[str, ...] = ()
    issue: int = 0
    merge_request: int = 0


@dataclass(frozen=True)
class Waiver:
    """A finding that an owner accepts up to and including a date (ISO 8601).

    ``subject`` is the requirement's id or the finding's path.
    """

    rule: str
    subject: str
    owner: str
    reason: str
    expires: str


@dataclass(frozen=True)
class WaivedFinding:
    """A finding about a requirement, and the waiver that accepts it."""

    requirement: str
    finding: Finding
    waiver: Waiver


@dataclass(frozen=True)
class TestResult:
    """A test that cites a requirement; its last outcome is ``success``, ``failed``, ``error``, ``skipped`` or empty."""

    __test__ = False

    path: str
    name: str
    line: int
    outcome: str


@dataclass(frozen=True)
class Row:
    """One requirement with its issues, merge requests, commits and tests.

    ``result`` is ``passed``, ``failed``, ``recorded`` (no local result, but evidence of a pass with this text),
    ``not passed`` (its tests have no result, or were skipped) or ``no test``. ``findings`` excludes waived ones.
    """

    spec: str
    status: str
    requirement: str
    digest: str
    issues: tuple[int, ...]
    merge_requests: tuple[int, ...]
    commits: tuple[str, ...]
    tests: tuple[TestResult, ...]
    result: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Trace:
    """One row per requirement of the specs that are not superseded, the findings, and the waived findings."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    waived: tuple[WaivedFinding, ...]

    def only(self, name: str) -> "Trace":
        """Return the part about one spec or requirement."""
        rows = tuple(row for row in self.rows if name in {row.spec, row.requirement})
        names = {row.requirement for row in rows}
        waived = tuple(item for item in self.waived if item.requirement in names)
        return Trace(rows, tuple(finding for row in rows for finding in row.findings), waived)


def trace(
    specs: Sequence[Spec],
    *,
    tests: Sequence[CitedTest] = (),
    results: Mapping[str, str] | None = None,
    issues: Sequence[Issue] = (),
    merge_requests: Sequence[MergeRequest] = (),
    commits: Sequence[Commit] = (),
    passes: Mapping[str, str] | None = None,
    waivers: Sequence[Waiver] = (),
    today: str,
) -> Trace:
    """Return each requirement's trace and findings, sorted by id; raises nothing.

    ``results`` maps test names in JUnit reports to outcomes, ``passes`` maps each requirement to its digest when its
    tests last passed according to the evidence, ``today`` is an ISO 8601 date. An issue or change that names a spec but
    no requirement belongs to the whole spec. Only ``passes`` can show drift, because a report contains no digest.
    """
    outcomes, passed = _outcomes(results or {}), passes or {}
    links = _Links(issues, merge_requests, commits)
    live = _live(specs)
    of: dict[str, list[TestResult]] = {}
    for test in tests:
        for name in test.requirements:
            outcome = outcomes.get(f"{test.path.removesuffix('.py').replace('/', '.')}.{test.name}", "")
            of.setdefault(name, []).append(TestResult(test.path, test.name, test.line, outcome))
    rows = [_row(spec, item, of.get(item.id, ()), links, passed) for spec, item in live.values()]
    lost = _lost(specs, live.keys(), of, links, passed)
    raised = [*(item for row in rows for item in _broken(row, live[row.requirement][1].line, passed)), *lost]
    held = [waiver for waiver in waivers if _holds(waiver, today)]
    ruled = [(name, finding, _waiver(name, finding, held)) for name, finding in raised]
    kept = [(name, finding) for name, finding, waiver in ruled if waiver is None]
    counted: dict[str, list[Finding]] = {}
    for name, finding in kept:
        counted.setdefault(name, []).append(finding)
    expired = [_expired(waiver) for waiver in waivers if waiver not in held]
    return Trace(
        tuple(replace(row, findings=tuple(counted.get(row.requirement, ()))) for row in rows),
        tuple(sorted({*(finding for _, finding in kept), *expired}, key=_order)),
        tuple(WaivedFinding(name, finding, waiver) for name, finding, waiver in ruled if waiver),
    )


class _Links:
    """Finds the issues, merge requests and commits that cite a requirement or its whole spec."""

    def __init__(
        self, issues: Sequence[Issue], merge_requests: Sequence[MergeRequest], commits: Sequence[Commit]
    ) -> None:
        self._issues, self._merge_requests, self._commits = issues, merge_requests, commits
        self._place = {commit.sha: place for place, commit in enumerate(commits)}
        self._by: dict[str, list[Commit]] = {}
        for commit in commits:
            for subject in commit.requirements or (commit.spec,):
                self._by.setdefault(subject, []).append(commit)
        # If the changes of an issue name requirements, the issue belongs to these, not to its whole spec.
        changes: list[Commit | MergeRequest] = [*commits, *merge_requests]
        self._narrow = {item.issue for item in changes if item.requirements}

    def chain(self, spec: str, requirement: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
        """Return the issues, merge requests and commits of a requirement; the commits keep their order."""
        either = {item.sha: item for subject in (spec, requirement) for item in self._by.get(subject, ())}
        commits = sorted(either.values(), key=lambda item: self._place[item.sha])
        through = {item.merge_request for item in commits}
        requests = [
            item
            for item in self._merge_requests
            if item.iid in through or requirement in item.requirements or (item.spec == spec and not item.requirements)
        ]
        found = {item.issue for item in commits} | {item.issue for item in requests}
        found |= {item.iid for item in self._issues if item.spec == spec and item.iid not in self._narrow}
        reached = through | {item.iid for item in requests}
        return tuple(sorted(found - {0})), tuple(sorted(reached - {0})), tuple(item.sha for item in commits)

    def cited(self) -> Iterator[tuple[str, str]]:
        """Yield each requirement that a commit or merge request cites, and what cites it."""
        for commit in self._commits:
            yield from ((name, f"commit {commit.sha[:12]}") for name in commit.requirements)
        for request in self._merge_requests:
            yield from ((name, f"merge request !{request.iid}") for name in request.requirements)


def _live(specs: Sequence[Spec]) -> dict[str, tuple[Spec, Requirement]]:
    """Return the requirements by id, sorted by spec and place; for a duplicate id, which lint reports, the first."""
    found: dict[str, tuple[Spec, Requirement]] = {}
    for spec in sorted(specs, key=lambda spec: spec.id):
        if spec.status != "superseded":
            for requirement in spec.requirements:
                found.setdefault(requirement.id, (spec, requirement))
    return found


def _outcomes(results: Mapping[str, str]) -> dict[str, str]:
    """Return one outcome for each test function: the worst of its parameters, ``skipped`` only if all were skipped."""
    found: dict[str, set[str]] = {}
    for name, outcome in results.items():
        found.setdefault(name.partition("[")[0], set()).add(outcome)
    ranked = ("error", "failed", "success", "skipped")
    return {name: next((one for one in ranked if one in outcomes), "") for name, outcomes in found.items()}


def _row(
    spec: Spec, requirement: Requirement, tests: Sequence[TestResult], links: _Links, passes: Mapping[str, str]
) -> Row:
    digest = requirement.digest
    outcomes = {test.outcome for test in tests}
    if not tests:
        result = "no test"
    elif outcomes & _BAD:
        result = "failed"
    elif "success" in outcomes:
        result = "passed"
    elif "skipped" not in outcomes and passes.get(requirement.id) == digest:
        result = "recorded"
    else:
        result = "not passed"
    chain = links.chain(spec.id, requirement.id)
    return Row(spec.id, spec.status, requirement.id, digest, *chain, tuple(tests), result)


def _broken(row: Row, line: int, passes: Mapping[str, str]) -> Iterator[tuple[str, Finding]]:
    name, path = row.requirement, path_of(row.spec)
    if row.result == "failed":
        bad = ", ".join(sorted({test.name for test in row.tests if test.outcome in _BAD}))
        yield name, _finding("trace.failing", f"{name} fails: {bad}", path, line)
    elif row.result in {"no test", "not passed"} and row.status == "decided":
        why = "no test cites it" if row.result == "no test" else "none of its tests has passed"
        yield name, _finding("trace.untested", f"{name}: {why}", path, line)
    if passes.get(name, row.digest) != row.digest:
        message = f"{name} or its scenarios changed after its tests last passed according to the evidence"
        yield name, _finding("trace.drift", message, path, line)


def _lost(
    specs: Sequence[Spec],
    live: Iterable[str],
    tests: Mapping[str, Sequence[TestResult]],
    links: _Links,
    passes: Mapping[str, str],
) -> Iterator[tuple[str, Finding]]:
    """Yield a finding for each cited id that no current spec has."""
    known = set(live)
    retired = {item.id for spec in specs for item in spec.requirements} - known
    by = dict(reversed(list(links.cited()))) | dict.fromkeys(passes, "recorded evidence")
    for name in sorted({*tests, *by} - known):
        for test in tests.get(name, ()):
            rule = "trace.dropped" if name in by or name in retired else "trace.orphan"
            words = "is no longer a requirement" if rule == "trace.dropped" else "no spec defines"
            yield name, _finding(rule, f"{test.name} cites {name}, which {words}", test.path, test.line)
        if name not in tests and name not in retired:
            yield name, _finding("trace.dropped", f"{name} is no longer a requirement; {by[name]} cites it")


def _waiver(name: str, finding: Finding, waivers: Sequence[Waiver]) -> Waiver | None:
    subjects = {name, finding.path} - {""}
    return next((item for item in waivers if item.rule == finding.rule and item.subject in subjects), None)


def _holds(waiver: Waiver, today: str) -> bool:
    try:
        return date.fromisoformat(today) <= date.fromisoformat(waiver.expires)
    except ValueError:
        return False


def _expired(waiver: Waiver) -> Finding:
    message = f"the waiver of {waiver.rule} for {waiver.subject} by {waiver.owner} expired on {waiver.expires}"
    return _finding("trace.waiver-expired", message, WAIVERS)


def _finding(rule: str, message: str, path: str = "", line: int = 0) -> Finding:
    return Finding(rule, message, RULES[rule].fix, path, line)


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return finding.path, finding.line, finding.rule, finding.message
