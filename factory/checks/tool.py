"""Runs a check's command in the sandbox, through the launch door, and reads its reports."""

from collections.abc import Mapping
from pathlib import Path

from factory.checks import coverage, junit
from factory.errors import OutputTooLarge, ToolTimeout
from factory.model.facts import Coverage, TestRun
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import files, process

_LIMIT = 600.0
_OUTPUT = 16 * 2**20
_LIMITS = Limits(memory_bytes=8 * 2**30, processes=2048, file_bytes=8 * 2**30)


def confined(
    argv: tuple[str, ...],
    folder: Path,
    *,
    env: Mapping[str, str],
    writable: tuple[Path, ...],
    readable: tuple[Path, ...],
) -> process.CompletedProcess:
    """Run a program in a folder, which is among those that it may read or write, without network; return how it ended.

    Raises ``ToolTimeout``, ``OutputTooLarge``, and ``MachineError`` if it cannot start.
    """
    prepared = launch.prepare(
        launch.Launch(argv=argv, cwd=folder, env=env, writable=writable, readable=readable, limits=_LIMITS)
    )
    try:
        return process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=_LIMIT, most=_OUTPUT, check=False)
    finally:
        launch.put_back(prepared)


def run_tests(
    command: tuple[str, ...],
    folder: Path,
    *,
    scratch: Path,
    env: Mapping[str, str],
    readable: tuple[Path, ...],
    runner: Path | None = None,
) -> tuple[TestRun, Coverage]:
    """Run a test command in a worktree without network; return its JUnit and coverage reports.

    ``runner`` is the program `python` of the command, by default this program's. The command's output is written to
    ``scratch/log.txt``. Raises ``MachineError`` if the command cannot start.
    """
    files.remove_tree(scratch)
    files.private_folder(scratch)
    report, covered = scratch / "junit.xml", scratch / "coverage.json"
    given = {**env, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    given |= {"COVERAGE_FILE": str(scratch / "coverage.sqlite"), "APPS": str(folder / "apps")}

    def run(argv: tuple[str, ...]) -> process.CompletedProcess:
        ours = process.ours(argv) if runner is None else (str(runner), *argv[1:])
        also = (*readable, folder, *([runner.parents[1]] if runner else []))
        return confined(ours, folder, env=given, writable=(scratch,), readable=also)

    try:
        done = run((*command, f"--junitxml={report}"))
        if process.was_killed(done.returncode):  # says nothing of the tests, so they run once more
            done = run((*command, f"--junitxml={report}"))
        if Path(given["COVERAGE_FILE"]).exists():
            run((command[0], "-m", "coverage", "json", "-q", "-o", str(covered)))
    except (ToolTimeout, OutputTooLarge) as error:
        return TestRun(problem=str(error)), Coverage(problem=str(error))
    files.write_atomic(scratch / "log.txt", done.stdout + done.stderr)
    return junit.read_file(report, str(done.returncode).encode()), coverage.read_file(covered)
