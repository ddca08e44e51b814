"""Collects the facts that gates judge, in the same way on a laptop, in a session and in a pipeline."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from factory.checks import change as changes
from factory.checks import dependencies, leaks, static, tests_in_sources, tool
from factory.errors import FactoryError, InvalidInput, OutputTooLarge
from factory.model.app_paths import APPS, AppPaths
from factory.model.facts import (
    Change,
    Coverage,
    Dependency,
    Facts,
    Origin,
    SpecFacts,
    TestRun,
)
from factory.model.issue import SMALL
from factory.model.tool_run import ToolRun, newer
from factory.operations import trust_root
from factory.operations.repository import app_checks, app_tests
from factory.operations.repository.app_tests import Suite
from factory.policies import evaluate, trust
from factory.policies import read as policy_files
from factory.policies.model import Policies
from factory.specs import lint, trailers
from factory.specs import read as specs
from factory.system import files, process
from factory.worktrees import blobs

Said = TypeVar("Said")
# The checks that are test suites; each has its own report.
SUITES = (app_tests.UNIT, "contract")


@dataclass(frozen=True)
class Checkout:
    """A checkout to judge.

    ``base`` is the commit at which the change left the target branch, ``target`` that branch's commit, ``origin`` whose
    the change is, ``date`` the day of the judgement (``2026-12-31``) and ``env`` the whole environment of the tools.
    """

    folder: Path
    base: str
    head: str
    target: str
    origin: Origin
    date: str
    env: Mapping[str, str]


def facts(place: Checkout, policies: Policies, *, judge: Callable[[str], bytes | None]) -> Facts:
    """Return the facts that need no code of the change to run; ``judge`` reads files of the protected branch.

    A change that is too large has only its ``problem``. Raises ``ToolFailed`` if git cannot read the commits.
    """
    try:
        return _facts(place, policies, judge)
    except OutputTooLarge:
        problem = changes.too_large(place.folder, place.base, place.head, env=place.env)
        change = Change(place.base, place.head, (), origin=place.origin, problem=problem)
        return Facts(date=place.date, change=change, history=ToolRun(problem=problem))


def _facts(place: Checkout, policies: Policies, judge: Callable[[str], bytes | None]) -> Facts:
    found = changes.collect(place.folder, place.base, place.head, env=place.env, target=place.target)
    found = replace(found, origin=place.origin)
    apps = policies.apps.paths
    after = tests_in_sources.collect(place.folder, apps, env=place.env)
    touched = {file.path for file in found.files}
    changed = tests_in_sources.collect_at(place.folder, place.base, sorted(touched), env=place.env, apps=apps)
    kept = tuple(test for test in after if test.path not in touched)
    with tempfile.TemporaryDirectory(prefix="factory-base-") as name:
        base = _Base(place, Path(name))
        tools = {tool: _tool(tool, place, policies, found, base) for tool in ("lint", "types", "security")}
    earlier, now = _saying(place, place.base), _saying(place, place.head)
    return Facts(
        date=place.date,
        change=found,
        spec=spec_facts(found, lambda path: judge(path) or _brought(place, policies, found, path)),
        before=(*kept, *changed),
        after=after,
        own_before=_said(earlier, _tests_of),
        own_after=_said(now, _tests_of),
        checks_before=_said(earlier, app_checks.told),
        checks_after=_said(now, app_checks.told),
        dependencies=_dependencies(place, found, apps),
        trust=_lost_trust(place, found, judge),
        history=leaks.in_history(place.folder, place.base, place.head, env=place.env),
        lint=tools["lint"],
        types=tools["types"],
        security=tools["security"],
    )


def _saying(place: Checkout, commit: str) -> dict[str, bytes]:
    """Return the files of a commit that may say how the apps' own tests and checks run."""
    listed = [blob for blob in blobs.listed(place.folder, commit, APPS) if app_tests.says_how(blob.path)]
    return dict(zip((blob.path for blob in listed), blobs.contents(place.folder, listed), strict=True))


def _said(given: Mapping[str, bytes], read: Callable[[str, Mapping[str, bytes]], tuple[Said, ...]]) -> tuple[Said, ...]:
    """Return what ``read`` finds in each app's files; an app whose files are invalid has nothing."""
    found: list[Said] = []
    for app in sorted({path.split("/")[1] for path in given}):
        with suppress(InvalidInput):
            found += read(app, given)
    return tuple(found)


def _tests_of(app: str, given: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    return app_tests.told((app,), given)


def _lost_trust(place: Checkout, change: Change, judge: Callable[[str], bytes | None]) -> tuple[str, ...]:
    """Return what a change of ``policies/trust.yml`` loses of the protected branch's file, or its problem."""
    found = [file for file in change.files if file.path == trust.PATH]
    if not found:
        return ()
    before = judge(trust.PATH)
    show = ["git", "show", f"{place.head}:{trust.PATH}"]
    after = b"" if found[0].status == "D" else process.run(show, cwd=place.folder, env=place.env).stdout
    try:
        new = policy_files.trust_root(after) if after else None
        if new is not None:
            trust_root.keys_of(new)
    except InvalidInput as error:
        return (str(error),)
    with suppress(InvalidInput):  # a file that is invalid on the protected branch may be repaired
        return tuple(trust.lost(policy_files.trust_root(before) if before else None, new))
    return ()


def _brought(place: Checkout, policies: Policies, change: Change, path: str) -> bytes | None:
    """Return a spec that a person's change adds, as `factory app add` does; an agent's change cannot add one."""
    added = any((file.path, file.status) == (path, "A") for file in change.files)
    if not added or evaluate.bound(policies, change):
        return None
    return process.run(["git", "show", f"{place.head}:{path}"], cwd=place.folder, env=place.env).stdout


def spec_facts(change: Change, judge: Callable[[str], bytes | None]) -> SpecFacts:
    """Return the spec that the commits name, in the protected branch's version, or the problem with it."""
    named = {name for message in change.messages for name in trailers.specs_of(message)}
    if len(named) != 1:
        problem = f"the commits name several specs: {', '.join(sorted(named))}" if named else "the commits name no spec"
        return SpecFacts(problem=problem, unnamed=not named)
    name = named.pop()
    if name == SMALL:
        return SpecFacts(SMALL, small="the issue")
    path = specs.path_of(name)
    content = judge(path)
    if content is None:
        return SpecFacts(problem=f"{path} is missing")
    try:
        spec = specs.read(content, source=path)
    except InvalidInput as error:
        return SpecFacts(problem=str(error))
    found = lint.lint({path: content}, exists=lambda other: judge(other) is not None)
    requirements = tuple((item.id, item.digest) for item in spec.requirements)
    return SpecFacts(spec.id, spec.status, spec.digest, requirements=requirements, findings=len(found))


def claims(
    place: Checkout,
    policies: Policies,
    *,
    scratch: Path,
    readable: tuple[Path, ...],
    suites: tuple[str, ...] | None = None,
    unit: Sequence[Suite] | None = None,
) -> tuple[tuple[tuple[str, TestRun], ...], Coverage, ToolRun]:
    """Run the test suites in the sandbox; return their reports, the coverage, and secrets found in their output.

    ``suites`` defaults to the suites of ``local`` gates; ``unit`` are the prepared suites of the check `unit`, by
    default those of this program's Python. Raises ``MachineError`` if a command cannot start.
    """
    rules = policies.gates
    local = tuple(name for name in SUITES if name in rules.gates and rules.gates[name].where == "local")
    runs: list[tuple[str, TestRun]] = []
    covered = Coverage(problem="coverage was not measured")
    for name in local if suites is None else suites:
        if name not in rules.checks:
            continue
        if name == app_tests.UNIT:
            found = app_tests.suites(policies, app_tests.apps_in(place.folder), {}) if unit is None else unit
            run, covered = _unit(found, place, scratch=scratch / name, readable=readable)
        else:
            command = rules.checks[name]
            run, _ = tool.run_tests(command, place.folder, scratch=scratch / name, env=place.env, readable=readable)
        runs.append((name, run))
    return tuple(runs), covered, leaks.scan(scratch) if scratch.exists() else ToolRun()


def checked(
    place: Checkout,
    policies: Policies,
    found: Facts,
    *,
    scratch: Path,
    readable: tuple[Path, ...],
    unit: Sequence[Suite],
) -> Facts:
    """Return the facts with what the local checks say; arguments and errors are those of ``claims``."""
    tests, covered, leaked = claims(place, policies, scratch=scratch, readable=readable, unit=unit)
    done = replace(found, tests=tests, coverage=covered, scanned=leaked)
    if not found.earlier:
        return done
    for name in {suite.own.gate for suite in unit if suite.own and suite.is_check} - dict(tests).keys():
        files.remove_tree(scratch / name)
    touched = [suite for suite in unit if suite.app in found.earlier]
    run = partial(app_checks.confined, touched, env=place.env, readable=readable)
    earlier = scratch / app_tests.EARLIER.name
    with tempfile.TemporaryDirectory(prefix="factory-base-") as name:
        before = Path(name)
        app_tests.take_before(place.folder, place.base, found.earlier, before, env=place.env)
        base = app_tests.confined_before(touched, before, scratch=earlier, env=place.env, readable=readable)
        was, now = run(before, scratch=earlier, before=True), run(place.folder, scratch=scratch)
    return replace(done, own_base=base, checks_base=was, checks_head=now, scanned=leaks.scan(scratch))


def _unit(
    found: Sequence[Suite], place: Checkout, *, scratch: Path, readable: tuple[Path, ...]
) -> tuple[TestRun, Coverage]:
    """Run the suites of the check `unit`; return their reports as one."""
    files.remove_tree(scratch)
    found = [suite for suite in found if not suite.is_check]
    done = [
        app_tests.run_confined(suite, place.folder, scratch=scratch / suite.app, env=place.env, readable=readable)
        for suite in found
    ]
    if len(found) == 1 and not found[0].app:
        return done[0]
    logs = [files.read_bytes(path) for suite in found if (path := scratch / suite.app / "log.txt").exists()]
    files.write_atomic(scratch / "log.txt", b"".join(logs))
    runs = [app_tests.without_tests(run) for run, _ in done]
    return TestRun.joined(runs), Coverage.joined([lines for _, lines in done])


@dataclass(frozen=True)
class _Base:
    """The files of the commit before a change, which are checked out once, for the tools that find something."""

    place: Checkout
    empty: Path

    @cached_property
    def folder(self) -> Path:
        changes.check_out(self.place.folder, self.place.base, self.empty, env=self.place.env)
        return self.empty


def _tool(name: str, place: Checkout, policies: Policies, change: Change, base: _Base) -> ToolRun | None:
    """Return what a tool finds in the change and not in the commit before it: what is older is nobody's task now."""
    command = policies.gates.checks.get(name)
    if command is None or name not in policies.gates.gates:
        return None
    run = static.types if name == "types" else static.lint
    apps = policies.apps.paths
    found = run(command, place.folder, change, env=place.env, apps=apps)
    if not found.problems:
        return found
    kept = tuple(file for file in change.files if (base.folder / file.path).is_file())
    before = run(command, base.folder, replace(change, files=kept), env=place.env, apps=apps)
    return replace(found, problems=newer(found.problems, before.problems))


def _dependencies(
    place: Checkout, change: Change, apps: AppPaths
) -> tuple[tuple[Dependency, ...], tuple[Dependency, ...]] | None:
    if not any(apps.owns(file.path) for file in change.files):
        return (), ()
    try:
        before = dependencies.collect_at(place.folder, place.base, env=place.env, apps=apps)
        return before, dependencies.collect(place.folder, apps, env=place.env)
    except FactoryError:
        return None
