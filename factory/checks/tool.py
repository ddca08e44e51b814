"""Runs a check's command behind the launch door and reads the report that it leaves."""

from collections.abc import Mapping
from pathlib import Path

from factory.checks import junit
from factory.errors import ToolTimeout
from factory.model.facts import TestRun
from factory.sandbox import launch
from factory.system import files, process

_LIMIT = 600.0


def run_tests(
    command: tuple[str, ...], folder: Path, *, scratch: Path, env: Mapping[str, str], readable: tuple[Path, ...]
) -> TestRun:
    """Run a test command in a worktree, without network, and return what its JUnit report claims.

    Raises ``MachineError`` where the command cannot start.
    """
    files.remove_tree(scratch)
    files.private_folder(scratch)
    report = scratch / "junit.xml"
    prepared = launch.prepare(
        launch.Launch(
            argv=(*command, f"--junitxml={report}"),
            cwd=folder,
            env={**env, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
            writable=(scratch,),
            readable=(*readable, folder),
        )
    )
    try:
        process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=_LIMIT, check=False)
    except ToolTimeout as error:
        return TestRun(problem=str(error))
    return junit.read(report.read_bytes() if report.exists() else None)
