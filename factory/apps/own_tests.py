"""The tests and other checks that an app runs by commands of its own, in any language, and the reports that they leave.

Their sources are not read: what they report is all that is known of them.
"""

import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar
from xml.etree import ElementTree as ET

from factory.apps.node_files import MODULES, PACKAGE, scripts
from factory.checks import coverage, junit, line_coverage, report, tool
from factory.errors import InvalidInput, OutputTooLarge, Refused, ToolTimeout
from factory.model.app_paths import APPS
from factory.model.facts import EXIT_CODE, Coverage, TestRun
from factory.policies.apps import FILE, App, Check
from factory.policies.problems import document, parse
from factory.system import files, process

Read = TypeVar("Read")
NPM_TEST = ("npm", "test")
# The gates of an app's own checks, but that of its tests.
OTHER_CHECKS = ("lint", "types", "security", "contract")
# The script of package.json that is a check's, by its gate, and the command that runs it.
_SCRIPTS = {"lint": "lint", "types": "typecheck"}
_LIMIT, _OUTPUT = 3600.0, 64 * 2**20


@dataclass(frozen=True)
class OwnTests:
    """The command of a check of an app, which runs in the app's folder, and the report that it leaves below it.

    ``gate`` is whose check it is; ``unit`` are the tests, whose report is JUnit, with the lines that they ran in the
    report ``coverage``. Without a ``report``, the exit code is the one result. ``script`` is what package.json runs.
    ``modules`` are the installed Node packages, ``runner`` is the Python that the word `python` of the command means.
    """

    app: str
    command: tuple[str, ...]
    report: str = ""
    script: str = ""
    modules: Path | None = None
    runner: Path | None = None
    gate: str = "unit"
    coverage: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the command with its Python."""
        return tuple(str(self.runner or sys.executable) if word == "python" else word for word in self.command)

    @property
    def told(self) -> str:
        """Return how the tests run, in one line."""
        script = f" ({self.script})" if self.script else ""
        left = " and ".join(path for path in (self.report, self.coverage) if path)
        return f"{' '.join(self.command)}{script}" + (f", which leaves {left}" if left else "")


def in_files(name: str, given: Mapping[str, bytes]) -> OwnTests | None:
    """Return an app's own tests, as ``found`` does, by the content of its files.

    Raises ``InvalidInput`` for an ``app.yml`` or package.json that cannot be read.
    """
    return found(name, _app(name, given[FILE]) if FILE in given else App(), given.get(PACKAGE))


def found(name: str, app: App, package: bytes | None) -> OwnTests | None:
    """Return an app's own tests: those that ``app.yml`` names, else the script `test` of package.json.

    Raises ``InvalidInput`` if that is not JSON.
    """
    said = app.checks.unit
    script = _script("test", package)
    if said is not None:
        shown = script if said.command[0] == "npm" else ""
        return OwnTests(name, said.command, said.report or "", shown, coverage=said.coverage or "")
    if app.kind in {None, "node"} and script:
        return OwnTests(name, NPM_TEST, script=script)
    return None


def checks_in_files(name: str, given: Mapping[str, bytes]) -> tuple[OwnTests, ...]:
    """Return an app's other own checks, as ``checks`` does, by the content of its files; raises as ``in_files``."""
    return checks(name, _app(name, given[FILE]) if FILE in given else App(), given.get(PACKAGE))


def checks(name: str, app: App, package: bytes | None) -> tuple[OwnTests, ...]:
    """Return an app's own checks but its tests: those that ``app.yml`` names, else scripts of package.json.

    These are `lint`, and `typecheck` for types. Raises ``InvalidInput`` if package.json is not JSON.
    """
    found = []
    for gate in OTHER_CHECKS:
        said: Check | None = getattr(app.checks, gate)
        script = _script(_SCRIPTS.get(gate, ""), package)
        if said is not None:
            run = said.command[2:3] if said.command[:2] == ("npm", "run") else ()
            found.append(OwnTests(name, said.command, said.report or "", _script("".join(run), package), gate=gate))
        elif app.kind in {None, "node"} and script:
            found.append(OwnTests(name, ("npm", "run", _SCRIPTS[gate]), script=script, gate=gate))
    return tuple(found)


def _script(name: str, package: bytes | None) -> str:
    """Return what `npm run` runs for a script of package.json, or an empty text without it.

    Source of the order: docs.npmjs.com, "scripts", pre & post scripts.
    """
    named = scripts(package) if package is not None else {}
    return (
        " && ".join(named[one] for one in (f"pre{name}", name, f"post{name}") if one in named) if name in named else ""
    )


def run(tests: OwnTests, source: Path, out: Path, *, env: Mapping[str, str]) -> int:
    """Run the tests on a copy of the app's folder ``source``, as a job does; return 0, or 1 if one failed.

    ``out`` receives log.txt and junit.xml. Raises ``ToolTimeout`` after an hour, ``OutputTooLarge``, ``InvalidInput``
    for files that cannot be copied, and ``MachineError`` if the command cannot start.
    """
    return int(_failed(in_copy(tests, source, lambda work, done: _written(tests, work, out, done), env=env)))


def in_copy(
    tests: OwnTests, source: Path, read: Callable[[Path, process.CompletedProcess], Read], *, env: Mapping[str, str]
) -> Read:
    """Run a check on a copy of the app's folder; return what ``read`` reads in the copy. Raises as ``run`` does."""
    with tempfile.TemporaryDirectory(prefix="factory-tests-") as name:
        work = _staged(tests, source, Path(name).resolve() / "app")
        done = process.run(tests.argv, cwd=work, env={**env, "CI": "true"}, timeout=_LIMIT, most=_OUTPUT, check=False)
        return read(work, done)


def run_confined(
    tests: OwnTests, source: Path, *, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> TestRun:
    """Run the tests on such a copy in the sandbox, without network; ``scratch`` receives log.txt and junit.xml.

    Raises ``MachineError`` if the command cannot start.
    """
    try:
        found = in_confined_copy(
            tests,
            source,
            lambda work, done: _written(tests, work, scratch, done),
            scratch=scratch,
            env=env,
            readable=readable,
        )
    except (ToolTimeout, OutputTooLarge, InvalidInput) as error:
        return TestRun(problem=str(error))
    return replace(found, code=int(_failed(found)))


def in_confined_copy(
    tests: OwnTests,
    source: Path,
    read: Callable[[Path, process.CompletedProcess], Read],
    *,
    scratch: Path,
    env: Mapping[str, str],
    readable: tuple[Path, ...],
) -> Read:
    """Run a check on such a copy below ``scratch`` in the sandbox; return what ``read`` reads in the copy.

    Raises ``ToolTimeout``, ``OutputTooLarge``, ``InvalidInput`` for files that cannot be copied, and ``MachineError``.
    """
    home, work = files.private_folder(scratch / "home"), scratch / "app"
    given = {**env, "HOME": str(home), "TMPDIR": str(home), "CI": "true"}
    packages = [*([tests.modules] if tests.modules else []), *([tests.runner.parents[1]] if tests.runner else [])]
    try:
        _staged(tests, source, work)
        done = tool.confined(tests.argv, work, env=given, writable=(scratch,), readable=(*readable, *packages))
        return read(work, done)
    finally:  # secrets are looked for in what is left
        files.remove_tree(work)
        files.remove_tree(home)


def _staged(tests: OwnTests, source: Path, work: Path) -> Path:
    """Return the copy, without a report that is committed: it is of no run."""
    stage(source, work, tests.modules)
    for left in (tests.report, tests.coverage):
        with suppress(Refused):  # outside the copy nothing is deleted, and nothing is read
            place = files.contained(work, str(PurePosixPath(left).parent)) / PurePosixPath(left).name
            if place.is_file() or place.is_symlink():
                place.unlink()
    return work


def _written(tests: OwnTests, work: Path, out: Path, done: process.CompletedProcess) -> TestRun:
    files.write_atomic(out / "log.txt", done.stdout + done.stderr)
    files.write_atomic(out / "junit.xml", junit_of(tests, work, done.returncode))
    if tests.coverage:
        with suppress(InvalidInput):  # the JUnit report says so
            files.write_atomic(out / "coverage.json", coverage.written(_covered(tests, work), f"{APPS}{tests.app}/"))
    return junit.read_file(out / "junit.xml")


def _failed(found: TestRun) -> bool:
    return any(case.outcome in {"failed", "error"} for case in found.cases)


def stage(source: Path, work: Path, modules: Path | None) -> Path:
    """Copy an app's folder to ``work``, with a link to its installed packages; return the copy.

    So the tests may write into it, and no other run sees what they wrote. Raises ``InvalidInput`` for a file that
    cannot be read.
    """
    files.remove_tree(work)
    try:
        shutil.copytree(source, work, symlinks=True, ignore=_left_out)
    except (shutil.Error, OSError) as error:
        raise InvalidInput(f"the app's files cannot be copied: {str(error)[:300]}") from error
    if modules is not None:
        (work / MODULES).symlink_to(modules)
    return work


def _left_out(folder: str, names: list[str]) -> list[str]:
    return [".git", MODULES, *(name for name in names if _is_special(Path(folder, name)))]


def _is_special(path: Path) -> bool:
    """Return whether a path is neither a file nor a folder nor a link, such as a pipe, which cannot be copied."""
    mode = path.lstat().st_mode
    return not any(kind(mode) for kind in (stat.S_ISDIR, stat.S_ISREG, stat.S_ISLNK))


def junit_of(tests: OwnTests, work: Path, code: int) -> bytes:
    """Return the JUnit report of a run that ended with ``code``: each case names its app.

    A report that is missing, unreadable, or without the failure that the exit code tells, has a case that says so.
    """
    suite = ET.Element("testsuite", name=tests.app)
    cases, problem = _cases(tests, work)
    suite.extend(cases)
    if not tests.report:
        case = _case(suite, f"{' '.join(tests.command)} {EXIT_CODE}")
        if code:
            ET.SubElement(case, "failure", message=f"it ended with {code}")
    elif problem or (code and not any(case.find(tag) is not None for case in cases for tag in ("failure", "error"))):
        message = problem or f"the command ended with {code}, but {tests.report} has no failure"
        ET.SubElement(_case(suite, " ".join(tests.command)), "error", message=message)
    if tests.coverage:
        try:
            _covered(tests, work)
        except InvalidInput as error:
            ET.SubElement(_case(suite, f"{' '.join(tests.command)} (coverage)"), "error", message=str(error))
    for case in suite:
        case.set("app", tests.app)
    return ET.tostring(suite)


def _cases(tests: OwnTests, work: Path) -> tuple[list[ET.Element], str]:
    if not tests.report:
        return [], ""
    try:
        data = left(work, tests.report)
    except InvalidInput as error:
        return [], str(error)
    if problem := junit.read(data).problem:
        return [], problem
    cases = list(ET.fromstring(data).iter("testcase"))  # noqa: S314 - read once above
    return cases, "" if cases else f"{tests.report} has no test"


def left(work: Path, path: str) -> bytes:
    """Return a report that a command left in a copy; raises ``InvalidInput`` if it is missing or not such a file."""
    try:
        data = report.content(files.contained(work, path))
    except Refused as error:
        raise InvalidInput(str(error).replace(str(work), "the copy")) from error
    if data is None:
        raise InvalidInput(f"the command left no {path}")
    return data


def _covered(tests: OwnTests, work: Path) -> Coverage:
    return line_coverage.read(left(work, tests.coverage), str(work))


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", name=name)


def _app(name: str, data: bytes) -> App:
    app, problems = parse(App, document(f"apps/{name}/{FILE}", data))
    if app is None:
        raise InvalidInput(problems[0])
    return app
