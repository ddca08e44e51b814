"""The tests that an app runs by a command of its own, in any language, and the report that it leaves.

Their sources are not read: what they report is all that is known of them.
"""

import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from factory.apps.node_files import MODULES, PACKAGE, scripts
from factory.checks import junit, report, tool
from factory.errors import InvalidInput, OutputTooLarge, Refused, ToolTimeout
from factory.model.facts import EXIT_CODE, TestRun
from factory.policies.apps import FILE, App
from factory.policies.problems import document, parse
from factory.system import files, process

NPM_TEST = ("npm", "test")
# What that command runs, in this order (docs.npmjs.com, "scripts": pre & post scripts).
_NPM_SCRIPTS = ("pretest", "test", "posttest")
_LIMIT, _OUTPUT = 3600.0, 64 * 2**20


@dataclass(frozen=True)
class OwnTests:
    """The command of an app's tests, which runs in the app's folder, and the JUnit report that it leaves below it.

    Without a ``report``, the exit code is the one result. ``script`` is the script of package.json that runs.
    ``modules`` are the installed Node packages, ``runner`` is the Python that the word `python` of the command means,
    by default this program's.
    """

    app: str
    command: tuple[str, ...]
    report: str = ""
    script: str = ""
    modules: Path | None = None
    runner: Path | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the command with its Python."""
        return tuple(str(self.runner or sys.executable) if word == "python" else word for word in self.command)

    @property
    def told(self) -> str:
        """Return how the tests run, in one line."""
        script = f" ({self.script})" if self.script else ""
        return f"{' '.join(self.command)}{script}" + (f", which leaves {self.report}" if self.report else "")


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
    named = scripts(package) if package is not None else {}
    script = " && ".join(named[name] for name in _NPM_SCRIPTS if name in named) if "test" in named else ""
    if said is not None:
        return OwnTests(name, said.command, said.report or "", script if said.command[0] == "npm" else "")
    if app.kind in {None, "node"} and script:
        return OwnTests(name, NPM_TEST, script=script)
    return None


def run(tests: OwnTests, source: Path, out: Path, *, env: Mapping[str, str]) -> int:
    """Run the tests on a copy of the app's folder ``source``, as a job does; return 0, or 1 if one failed.

    ``out`` receives log.txt and junit.xml. Raises ``ToolTimeout`` after an hour, ``OutputTooLarge``, ``InvalidInput``
    for files that cannot be copied, and ``MachineError`` if the command cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="factory-tests-") as name:
        work = _staged(tests, source, Path(name) / "app")
        given = {**env, "CI": "true"}
        done = process.run(tests.argv, cwd=work, env=given, timeout=_LIMIT, most=_OUTPUT, check=False)
        return int(_failed(_written(tests, work, out, done)))


def run_confined(
    tests: OwnTests, source: Path, *, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> TestRun:
    """Run the tests on such a copy in the sandbox, without network; ``scratch`` receives log.txt and junit.xml.

    Raises ``MachineError`` if the command cannot start.
    """
    home, work = files.private_folder(scratch / "home"), scratch / "app"
    given = {**env, "HOME": str(home), "TMPDIR": str(home), "CI": "true"}
    packages = [*([tests.modules] if tests.modules else []), *([tests.runner.parents[1]] if tests.runner else [])]
    try:
        _staged(tests, source, work)
        done = tool.confined(tests.argv, work, env=given, writable=(scratch,), readable=(*readable, *packages))
        found = _written(tests, work, scratch, done)
    except (ToolTimeout, OutputTooLarge, InvalidInput) as error:
        return TestRun(problem=str(error))
    finally:  # secrets are looked for in what is left
        files.remove_tree(work)
        files.remove_tree(home)
    return replace(found, code=int(_failed(found)))


def _staged(tests: OwnTests, source: Path, work: Path) -> Path:
    """Return the copy, without a report that is committed: it is of no run."""
    stage(source, work, tests.modules)
    with suppress(Refused):  # outside the copy nothing is deleted, and nothing is read
        place = files.contained(work, str(PurePosixPath(tests.report).parent)) / PurePosixPath(tests.report).name
        if place.is_file() or place.is_symlink():
            place.unlink()
    return work


def _written(tests: OwnTests, work: Path, out: Path, done: process.CompletedProcess) -> TestRun:
    files.write_atomic(out / "log.txt", done.stdout + done.stderr)
    files.write_atomic(out / "junit.xml", junit_of(tests, work, done.returncode))
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
    for case in suite:
        case.set("app", tests.app)
    return ET.tostring(suite)


def _cases(tests: OwnTests, work: Path) -> tuple[list[ET.Element], str]:
    if not tests.report:
        return [], ""
    try:
        data = report.content(files.contained(work, tests.report))
    except Refused as error:
        return [], str(error)
    if data is None:
        return [], f"the command left no {tests.report}"
    if problem := junit.read(data).problem:
        return [], problem
    cases = list(ET.fromstring(data).iter("testcase"))  # noqa: S314 - read once above
    return cases, "" if cases else f"{tests.report} has no test"


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", name=name)


def _app(name: str, data: bytes) -> App:
    app, problems = parse(App, document(f"apps/{name}/{FILE}", data))
    if app is None:
        raise InvalidInput(problems[0])
    return app
