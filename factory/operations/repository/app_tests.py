"""Runs the apps' own tests as the pipeline's job `unit` does, and leaves what the gates read as the change's claim.

All apps' tests are one suite; or with the word `{app}` in the check's command, each app's are one, in an environment of
its own packages. An app that says itself how its tests run has a suite of its own.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from factory.apps import archive, node_files, own_tests
from factory.apps.archive import CODE
from factory.apps.own_tests import OwnTests
from factory.checks import coverage, tool
from factory.errors import InvalidInput
from factory.model.app_paths import APPS
from factory.model.facts import Coverage, TestRun
from factory.operations.repository import app_environment, node_packages
from factory.policies.apps import FILE
from factory.policies.model import Policies
from factory.system import files, process

_LIMIT = 3600.0
_OUTPUT = 64 * 2**20
UNIT = "unit"
# Where the job `unit` finds the earlier files of the apps whose own tests run before and after a change.
EARLIER = Path(".factory/judge/before")
_APP = "{app}"
# Files in an app's folder that may say what the app needs.
_NAMING = re.compile(r"apps/[^/]+/(uv\.lock|pyproject\.toml|[^/]+\.txt|requirements/[^/]+\.txt)")
# Files in an app's folder that say how its own tests run, and with them what these need.
_SAYS = re.compile(rf"apps/[^/]+/({re.escape(FILE)}|{re.escape(node_files.PACKAGE)})")
_OWN = re.compile(rf"{_SAYS.pattern}|apps/[^/]+/{re.escape(node_files.LOCK)}")
# What pytest ends with if an app has no tests (docs: exit codes).
_NO_TESTS = 5


@dataclass(frozen=True)
class Suite:
    """Tests that run by one command: those of the app ``app``, or without it of all apps.

    ``needs`` are the files that name what they need, by their path in the app's folder; without them, this program's
    Python runs the tests, else ``runner``. ``code`` are the folders from which Python imports the app's code. ``own``
    are tests that the app runs by a command of its own.
    """

    app: str
    command: tuple[str, ...]
    needs: Mapping[str, bytes]
    code: tuple[str, ...]
    runner: Path | None = None
    own: OwnTests | None = None

    @property
    def is_check(self) -> bool:
        """Return whether this is an app's own check of another gate than `unit`."""
        return self.own is not None and self.own.gate != UNIT

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the variable with which Python finds the app's code in a checkout, if it is below ``src``."""
        below = [str(folder / path) for path in self.code if Path(path).name == "src"]
        return {"PYTHONPATH": ":".join(below)} if below else {}


def says_how(path: str) -> bool:
    """Return whether a file of the repository may say how an app's own tests run."""
    return _SAYS.fullmatch(path) is not None


def apps_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the apps in a checkout."""
    return tuple(path.name for path in files.subfolders(folder / APPS) if not path.is_symlink())


def need_packages(policies: Policies) -> bool:
    """Return whether the check `unit` may run tests with other packages than the factory's own."""
    return UNIT in policies.gates.checks and (bool(policies.apps.install) or _per_app(policies))


def naming(policies: Policies, paths: Sequence[str]) -> list[str]:
    """Return those paths whose files may say what the apps' tests need."""
    named = {*policies.apps.install, app_environment.PYPROJECT} if policies.apps.install else set()
    return [
        path
        for path in paths
        if path in named or _OWN.fullmatch(path) or (_per_app(policies) and _NAMING.fullmatch(path))
    ]


def contents(policies: Policies, folder: Path) -> dict[str, bytes]:
    """Return a checkout's files that may say what the apps' tests need; raises ``Refused`` for a link out of it."""
    listed = {*policies.apps.install, app_environment.PYPROJECT}
    for pattern in ("*/*", "*/requirements/*"):
        listed |= {path.relative_to(folder).as_posix() for path in (folder / APPS).glob(pattern)}
    # Inside the checkout: a change may have made a link of the file.
    found = {path: files.contained(folder, path) for path in naming(policies, sorted(listed))}
    return {path: files.read_bytes(file) for path, file in found.items() if file.is_file()}


def suites(policies: Policies, apps: Sequence[str], given: Mapping[str, bytes]) -> tuple[Suite, ...]:
    """Return the suites of the check `unit`, of which ``given`` has the files that say what they need.

    Raises ``InvalidInput`` if there is no such check, or if a file that policy names is missing.
    """
    command = policies.gates.checks.get(UNIT)
    if command is None:
        raise InvalidInput(f"policies/gates.yml names no check `{UNIT}`", hint="See `factory policy show gates`.")
    found = [] if _per_app(policies) else [_of_all(policies, command, given)]
    for app in apps:
        own = below(app, given)
        tests = own_tests.in_files(app, own)
        if tests is not None:
            found.append(_suite_of(tests, own))
        elif _per_app(policies):
            words = tuple(word.replace(_APP, app) for word in command)
            found.append(Suite(app, words, app_environment.of_app(own), (f"{APPS}{app}/src",)))
        named = policies.gates.gates
        found += [_suite_of(check, own) for check in own_tests.checks_in_files(app, own) if check.gate in named]
    return tuple(found)


def _suite_of(check: OwnTests, given: Mapping[str, bytes]) -> Suite:
    needs = node_packages.needed(given) or (app_environment.of_app(given) if check.command[0] == "python" else {})
    return Suite(check.app, check.command, needs, (f"{APPS}{check.app}/src",), own=check)


def told(apps: Sequence[str], given: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """Return how the tests of each app with a command of its own run; raises ``InvalidInput`` as ``suites`` does."""
    found = [own_tests.in_files(app, below(app, given)) for app in apps]
    return tuple((tests.app, tests.told) for tests in found if tests is not None)


def _of_all(policies: Policies, command: tuple[str, ...], given: Mapping[str, bytes]) -> Suite:
    needs = app_environment.needed(policies.apps, given) if policies.apps.install else {}
    return Suite("", command, needs, policies.apps.sources)


def below(app: str, given: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return an app's files of ``given`` by their path in its folder."""
    folder = f"{APPS}{app}/"
    return {path.removeprefix(folder): data for path, data in given.items() if path.startswith(folder)}


def prepared(root: Path, found: Sequence[Suite], *, env: Mapping[str, str]) -> tuple[Suite, ...]:
    """Return the suites with their packages, installed unless they are in ``root``, the folder of environments.

    Raises as ``app_environment.ensure`` and ``node_packages.ensure`` do.
    """
    return tuple(_with_packages(root, suite, env) for suite in found)


def _with_packages(root: Path, suite: Suite, env: Mapping[str, str]) -> Suite:
    try:
        if suite.own is not None and node_files.LOCK in suite.needs:
            found = node_packages.ensure(root, suite.needs, env=env)
            return replace(suite, own=replace(suite.own, modules=found))
        if suite.needs:
            runner = app_environment.ensure(root, suite.needs, env=env)
            own = replace(suite.own, runner=runner) if suite.own is not None else None
            return replace(suite, runner=runner, own=own)
    except InvalidInput as error:
        raise InvalidInput(f"{APPS}{suite.app}: {error}" if suite.app else str(error), hint=error.hint) from error
    return suite


def of_checkout(root: Path, policies: Policies, folder: Path, *, env: Mapping[str, str]) -> tuple[Suite, ...]:
    """Return the prepared suites of a checkout, by its own files; arguments and errors are those of the parts."""
    return prepared(root, suites(policies, apps_in(folder), contents(policies, folder)), env=env)


def run(found: Sequence[Suite], folder: Path, out: Path, *, env: Mapping[str, str]) -> int:
    """Run the suites in a checkout; return their exit code.

    ``out`` receives log.txt, exit, junit.xml and coverage.json. ``env`` is the whole environment. Raises
    ``ToolTimeout`` after an hour, ``OutputTooLarge`` and ``MachineError``.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = [suite for suite in found if not suite.is_check]
    codes = [_run(suite, folder, out / suite.app, env=env) for suite in found]
    if codes != [_NO_TESTS] or found[0].app:  # one app may have none
        codes = [0 if code == _NO_TESTS else code for code in codes]
    code = max(codes, default=0)
    if any(suite.app for suite in found) or not found:
        _join(out, [out / suite.app for suite in found])
    files.write_atomic(out / "exit", f"{code}\n".encode())
    return code


def _run(suite: Suite, folder: Path, out: Path, *, env: Mapping[str, str]) -> int:
    out.mkdir(parents=True, exist_ok=True)
    given = {**without_own_path(env), **suite.variables(folder), "COVERAGE_FILE": str(out / "coverage.sqlite")}
    if suite.own is not None:
        source = files.contained(folder, f"{APPS}{suite.app}")
        return own_tests.run(suite.own, source, out, env=given)
    program = str(suite.runner or sys.executable)
    command = [program if word == "python" else word for word in suite.command]
    argv = [*command, f"--junitxml={out / 'junit.xml'}"]
    done = process.run(argv, cwd=folder, env=given, timeout=_LIMIT, most=_OUTPUT, check=False)
    files.write_atomic(out / "log.txt", done.stdout + done.stderr)
    covered = [program, "-m", "coverage", "json", "-q", "-o", str(out / "coverage.json")]
    process.run(covered, cwd=folder, env=given, check=False)
    return done.returncode


def without_own_path(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the path on which this program was found: an app may have a package of its name."""
    return {name: value for name, value in env.items() if name != "PYTHONPATH"}


def take_before(folder: Path, commit: str, apps: Sequence[str], out: Path, *, env: Mapping[str, str]) -> None:
    """Write the files that apps have at a commit below ``out``, each app's in a folder of its name."""
    files.remove_tree(out)
    for app in apps:
        argv = ["git", "archive", "--format=tar", f"{commit}:{APPS}{app}"]
        packed = process.run(argv, cwd=folder, env=env, check=False)
        if packed.returncode:  # a new app; an old one whose files are missing passes no gate that compares
            continue
        archive.extract(packed.stdout, out / app)


def run_before(found: Sequence[Suite], before: Path, out: Path, *, env: Mapping[str, str]) -> None:
    """Run the own tests of the apps whose earlier files are below ``before``; their reports go to ``out``."""
    ran = _earlier(found, before)
    for tests, source in ran:
        own_tests.run(tests, source, out / tests.app, env=without_own_path(env))
    if ran:
        _join(out, [out / tests.app for tests, _ in ran])


def confined_before(
    found: Sequence[Suite], before: Path, *, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> TestRun:
    """Return the reports of those tests, which run in the sandbox; raises ``MachineError`` if one cannot start."""
    ran = [
        own_tests.run_confined(tests, source, scratch=scratch / tests.app, env=env, readable=readable)
        for tests, source in _earlier(found, before)
    ]
    return TestRun.joined(ran)


def _earlier(found: Sequence[Suite], before: Path) -> list[tuple[OwnTests, Path]]:
    places = [(suite.own, before / suite.app / CODE) for suite in found if not suite.is_check]
    return [(tests, source) for tests, source in places if tests is not None and source.is_dir()]


def run_confined(
    suite: Suite, folder: Path, *, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> tuple[TestRun, Coverage]:
    """Run a suite of a checkout in the sandbox; return its reports. Arguments and errors are ``tool.run_tests``'s."""
    given = {**env, **suite.variables(folder)}
    if suite.own is None:
        return tool.run_tests(suite.command, folder, scratch=scratch, env=given, readable=readable, runner=suite.runner)
    source = files.contained(folder, f"{APPS}{suite.app}")
    done = own_tests.run_confined(suite.own, source, scratch=scratch, env=given, readable=readable)
    return done, coverage.read_file(scratch / "coverage.json") if suite.own.coverage else Coverage(problem=done.problem)


def without_tests(run: TestRun) -> TestRun:
    """Return the run of an app without tests as one that ended well; the gate knows which lines no test runs."""
    return replace(run, code=0) if run.code == _NO_TESTS and not run.cases else run


def _join(out: Path, folders: Sequence[Path]) -> None:
    """Write the reports of several suites as those of one; a report that is missing or unreadable is left out."""
    report, logs = ET.Element("testsuites"), b""
    covered: dict[str, object] = {}
    for folder in folders:
        logs += files.read_bytes(folder / "log.txt")
        with suppress(OSError, ET.ParseError):
            report.extend(ET.parse(folder / "junit.xml").getroot())  # noqa: S314 - of a program in this very job
        with suppress(OSError, ValueError, KeyError):
            covered |= json.loads((folder / "coverage.json").read_bytes())["files"]
    files.write_atomic(out / "log.txt", logs)
    files.write_atomic(out / "junit.xml", ET.tostring(report))
    files.write_atomic(out / "coverage.json", json.dumps({"files": covered}).encode())


def _per_app(policies: Policies) -> bool:
    return any(_APP in word for word in policies.gates.checks.get(UNIT, ()))
