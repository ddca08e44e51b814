"""The apps' own checks but their tests: in the job, in the sandbox, and on what a hostile command leaves."""

from pathlib import Path

import pytest

from factory.model.tool_run import OwnCheck, Problem, ToolRun
from factory.operations.repository import app_checks, app_tests
from factory.policies.folder import read_folder
from factory.system import data
from factory.system.toolchain import readable
from tests.operations.repository.test_app_tests import company, written
from tests.servers import ROOT, TOOL_ENV

# Prints SARIF as eslint's formatter does: with a whole path, and exit code 1 if there is a finding.
LINTER = """\
import json, pathlib, sys
results = []
for path in sorted(pathlib.Path("src").glob("*.js")):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("var "):
            place = {"artifactLocation": {"uri": path.absolute().as_uri()}, "region": {"startLine": number}}
            results.append({"ruleId": "no-var", "level": "error", "message": {"text": "Unexpected var."},
                            "locations": [{"physicalLocation": place}]})
run = {"tool": {"driver": {"name": "linter"}}, "results": results}
pathlib.Path("lint.sarif").write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
sys.exit(bool(results))
"""
APP = "kind: command\nchecks: {lint: {command: [python3, lint.py], report: lint.sarif}}\n"
WEB = {
    "apps/web/app.yml": APP,
    "apps/web/lint.py": LINTER,
    "apps/web/src/a.js": "let a = 1\nvar b = 2\n",
}
FOUND = ToolRun((Problem("no-var", "apps/web/src/a.js", 2, "Unexpected var."),))


def suites(folder: Path) -> tuple[app_tests.Suite, ...]:
    policies = read_folder(ROOT)
    found = app_tests.suites(policies, ("web",), app_tests.contents(policies, folder))
    return tuple(suite for suite in found if suite.is_check)


def test_only_checks_of_gates_that_policy_names_run(tmp_path: Path) -> None:
    code = written(tmp_path, WEB)
    assert app_tests.suites(company(), ("web",), app_tests.contents(company(), code))[1:] == ()


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_check_leaves_its_findings(tmp_path: Path, *, sandbox: bool) -> None:
    code, out = written(tmp_path / "code", WEB), tmp_path / "out"
    found = suites(code)
    if sandbox:
        ran = app_checks.confined(found, code, scratch=out, env=TOOL_ENV, readable=readable())
        assert (out / "lint/log.txt").exists()
    else:
        app_checks.run(found, code, out, env=TOOL_ENV)
        ran = app_checks.read_file(out, ())
    assert ran == (OwnCheck("web", "lint", "python3 lint.py, which leaves lint.sarif", FOUND),)
    assert not (code / "apps/web/lint.sarif").exists()


HOSTILE = {
    "ln -s /etc/passwd lint.sarif": "outside",
    "ln -s src/a.js lint.sarif": "neither SARIF nor JUnit",
    "ln src/a.js lint.sarif": "one hard link",
    "mkdir lint.sarif": "not a regular file",
    "mkfifo lint.sarif": "not a regular file",
    "truncate -s 200M lint.sarif": "more than 16 MiB",
    "printf '{\\377}' > lint.sarif": "not SARIF",
    "python3 -c \"print('[' * 10000)\" | sed 's/^/{\"runs\":/' > lint.sarif": "not SARIF",
    ": > lint.sarif": "empty",
    ":": "left no lint.sarif",
    "exit 2": "left no lint.sarif",
    'printf \'{"version":"2.1.0","runs":[{"results":[]}]}\' > lint.sarif; exit 2': "ended with 2",
    "kill -9 $$": "left no lint.sarif",
}


@pytest.mark.parametrize(("script", "message"), HOSTILE.items())
@pytest.mark.parametrize("sandbox", [True, False])
def test_a_hostile_report_is_one_clear_line(tmp_path: Path, script: str, message: str, *, sandbox: bool) -> None:
    app = {"apps/web/app.yml": APP.replace("python3, lint.py", "sh, lint.sh"), "apps/web/lint.sh": f"{script}\n"}
    code, out = written(tmp_path / "code", {**WEB, **app, "apps/web/lint.sarif": "{}"}), tmp_path / "out"
    if sandbox:
        [ran] = app_checks.confined(suites(code), code, scratch=out, env=TOOL_ENV, readable=readable())
    else:
        app_checks.run(suites(code), code, out, env=TOOL_ENV)
        [ran] = app_checks.read_file(out, ())
    assert ran.run is not None
    assert message in ran.run.problem
    assert ran.run.problem.isprintable()
    assert str(tmp_path) not in ran.run.problem


def test_a_command_without_a_report_has_its_exit_code(tmp_path: Path) -> None:
    code = written(tmp_path / "code", {"apps/web/app.yml": "kind: command\nchecks: {types: {command: ['false']}}\n"})
    app_checks.run(suites(code), code, tmp_path / "out", env=TOOL_ENV)
    [ran] = app_checks.read_file(tmp_path / "out", ())
    assert ran.run == ToolRun((Problem("exit-code", "apps/web", 0, "false ended with 1 (exit code)"),))


def test_a_command_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    code = written(tmp_path / "code", {"apps/web/app.yml": "kind: command\nchecks: {types: {command: [missing-x]}}\n"})
    app_checks.run(suites(code), code, tmp_path / "out", env=TOOL_ENV)
    [ran] = app_checks.read_file(tmp_path / "out", ())
    assert ran.run is not None
    assert "missing-x" in ran.run.problem


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[", b"{}", b'[{"app": 1}]', b"\xff", b"[" * 10_000),
        data.write((OwnCheck("web", "lint", ""),)),
        data.write((OwnCheck("web", "lint", "", ToolRun((Problem("a", "/etc/passwd", 1, ""),))),)),
        data.write((OwnCheck("web", "lint", "", ToolRun((Problem("a", "apps/web/../x", 1, ""),))),)),
        data.write((OwnCheck("web", "lint", "", ToolRun((Problem("a", "apps/other/x", 1, ""),))),)),
    ],
)
def test_another_file_of_a_job_is_a_problem_of_each_check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checks.json").write_bytes(content)
    [ran] = app_checks.read_file(tmp_path, (OwnCheck("web", "lint", "make"),))
    assert ran.run is not None
    assert "checks.json" in ran.run.problem
    assert ran.run.problem.isprintable()


def test_texts_of_a_job_are_shown_on_one_line(tmp_path: Path) -> None:
    given = OwnCheck("web", "lint", "", ToolRun((Problem("a\x1b b", "apps/web/x", 1, "a\n\x1b[2Jb"),)))
    (tmp_path / "checks.json").write_bytes(data.write((given,)))
    [ran] = app_checks.read_file(tmp_path, ())
    assert ran.run == ToolRun((Problem("a-b", "apps/web/x", 1, "a [2Jb"),))
