"""Runs the apps' own checks but their tests, as the job `unit` does, and leaves what the gates read as claims."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from factory.apps import own_tests
from factory.apps.archive import CODE
from factory.apps.own_tests import OwnTests
from factory.checks import findings, report
from factory.errors import InvalidInput, MachineError, OutputTooLarge, Refused, ToolTimeout
from factory.model.app_paths import APPS
from factory.model.tool_run import BY_EXIT_CODE, OwnCheck, Problem, ToolRun
from factory.operations.repository.app_tests import Suite, below, without_own_path
from factory.system import data, files, process

_FILE = "checks.json"
_SHOWN = 500


def told(app: str, given: Mapping[str, bytes]) -> tuple[OwnCheck, ...]:
    """Return the own checks of an app by the files that say them; raises ``InvalidInput`` if these are invalid."""
    return tuple(OwnCheck(app, check.gate, check.told) for check in own_tests.checks_in_files(app, below(app, given)))


def run(found: Sequence[Suite], folder: Path, out: Path, *, env: Mapping[str, str], before: bool = False) -> bytes:
    """Run the checks of a checkout as a job does; return their output. ``out`` receives checks.json.

    A check that cannot run is one with a problem, so that the gates say it. ``before``: ``folder`` has the apps'
    earlier files.
    """
    ran, log = [], b""
    for check, source in _places(found, folder, before=before):

        def read(work: Path, done: process.CompletedProcess, check: OwnTests = check) -> tuple[ToolRun, bytes]:
            return _read(check, work, done), done.stdout + done.stderr

        try:
            result, text = own_tests.in_copy(check, source, read, env=without_own_path(env))
        except (ToolTimeout, OutputTooLarge, InvalidInput, MachineError) as error:
            result, text = ToolRun(problem=str(error)), b""
        ran.append(OwnCheck(check.app, check.gate, check.told, result))
        log += text
    out.mkdir(parents=True, exist_ok=True)
    files.write_atomic(out / _FILE, data.write(tuple(ran)))
    return log


def confined(
    found: Sequence[Suite],
    folder: Path,
    *,
    scratch: Path,
    env: Mapping[str, str],
    readable: tuple[Path, ...],
    before: bool = False,
) -> tuple[OwnCheck, ...]:
    """Run the checks in the sandbox, without network; ``scratch`` receives ``<gate>/log.txt``.

    Raises ``MachineError`` if the sandbox cannot start.
    """
    ran = []
    for check, source in _places(found, folder, before=before):
        place, log = scratch / check.gate / check.app, scratch / check.gate / "log.txt"

        def read(work: Path, done: process.CompletedProcess, check: OwnTests = check, log: Path = log) -> ToolRun:
            earlier = files.read_bytes(log) if log.exists() else b""
            files.write_atomic(log, earlier + done.stdout + done.stderr)
            return _read(check, work, done)

        files.remove_tree(place)
        files.private_folder(place)
        try:
            result = own_tests.in_confined_copy(check, source, read, scratch=place, env=env, readable=readable)
        except (ToolTimeout, OutputTooLarge, InvalidInput) as error:
            result = ToolRun(problem=str(error))
        ran.append(OwnCheck(check.app, check.gate, check.told, result))
    return tuple(ran)


def read_file(folder: Path, declared: Sequence[OwnCheck]) -> tuple[OwnCheck, ...]:
    """Return what ``run`` left in a folder of a job's results, whose author is not trusted; nothing without it.

    Of another file, each of the ``declared`` checks has the problem.
    """
    try:
        content = report.content(folder / _FILE)
        return () if content is None else tuple(map(_clean, data.read(tuple[OwnCheck, ...], content, source=_FILE)))
    except (Refused, InvalidInput, ValueError) as error:
        problem = ToolRun(problem=f"{_FILE}: {report.plain(str(error), _SHOWN)}")
        return tuple(replace(check, run=problem) for check in declared)


def _clean(check: OwnCheck) -> OwnCheck:
    """Return a check with texts of one line; raises ``InvalidInput`` for a finding outside the app's folder."""
    place = f"{APPS}{check.app}"
    if check.run is None or not report.inside(check.app, ""):
        raise InvalidInput("there is a check without an app or a result")
    found = []
    for item in check.run.problems:
        path = report.inside(item.path, "")
        if path != place and not path.startswith(f"{place}/"):
            raise InvalidInput(f"the report names {path!r}, which is not a file of {check.app}")
        found.append(Problem(findings.rule(item.rule), path, item.line, report.plain(item.message, _SHOWN)))
    return replace(check, run=ToolRun(tuple(found), report.plain(check.run.problem, _SHOWN)))


def _places(found: Sequence[Suite], folder: Path, *, before: bool) -> list[tuple[OwnTests, Path]]:
    listed = []
    for suite in found:
        if suite.own is None or not suite.is_check:
            continue
        source = folder / suite.app / CODE if before else files.contained(folder, f"{APPS}{suite.app}")
        if source.is_dir():
            listed.append((suite.own, source))
    return listed


def _read(check: OwnTests, work: Path, done: process.CompletedProcess) -> ToolRun:
    """Return what a check found in its copy; a report without a finding of a command that failed is a problem."""
    words = " ".join(check.command)
    if not check.report:
        failed = Problem(BY_EXIT_CODE, f"{APPS}{check.app}", 0, f"{words} ended with {done.returncode} (exit code)")
        return ToolRun((failed,) if done.returncode else ())
    try:
        found = findings.read(own_tests.left(work, check.report), str(work))
    except InvalidInput as error:
        return ToolRun(problem=f"{words}: {check.report}: {error}")
    if done.returncode and not found:
        return ToolRun(problem=f"{words} ended with {done.returncode}, but {check.report} has no finding")
    return ToolRun(
        tuple(
            Problem(item.rule, f"{APPS}{check.app}/{item.path}".rstrip("/"), item.line, item.message) for item in found
        )
    )
