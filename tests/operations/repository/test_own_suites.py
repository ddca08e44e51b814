"""Apps that run their tests by a command of their own: with their packages, in the job and in the sandbox."""

from pathlib import Path

import pytest

from factory.checks import junit
from factory.model.facts import EXIT_CODE, TestRun
from factory.operations.repository import app_tests
from factory.policies.folder import read_folder
from factory.system import files, process
from factory.system.toolchain import readable
from tests.operations.repository.test_app_tests import FILES, company, written
from tests.servers import ROOT, TOOL_ENV

HOURS = {
    "apps/hours/package.json": (
        '{"name": "hours", "scripts": {"test": "node --test --test-reporter=junit '
        '--test-reporter-destination=junit.xml"}, "dependencies": {"ms": "2.1.3"}}'
    ),
    "apps/hours/app.yml": "checks: {unit: {command: [npm, test], report: junit.xml}}\n",
    "apps/hours/hours.test.js": (
        'const {test} = require("node:test"), assert = require("node:assert"), fs = require("node:fs");\n'
        'const ms = require("ms");\n'
        'test("HOURS-1 an hour", () => { fs.writeFileSync("written", ""); assert.equal(ms("1h"), 3600000); });\n'
        'test("writes elsewhere", () => { try { fs.writeFileSync("FOLDER/x", ""); } catch {} });\n'
    ),
}
MAKE = {
    "apps/count/Makefile": "test:\n\ttest 4 -eq $$((2 + 2))\n",
    "apps/count/app.yml": "kind: command\nchecks: {unit: {command: [make, test]}}\n",
}


def locked(folder: Path) -> dict[str, str]:
    """Return the Node app with the lock that npm writes; its second test writes a file in the folder."""
    text = HOURS["apps/hours/hours.test.js"].replace("FOLDER", str(folder))
    written(folder / "lock", HOURS)
    argv = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    process.run(argv, env={**TOOL_ENV, "HOME": str(folder)}, cwd=folder / "lock/apps/hours", timeout=120)
    lock = files.read_text(folder / "lock/apps/hours/package-lock.json")
    return {**HOURS, "apps/hours/package-lock.json": lock, "apps/hours/hours.test.js": text}


def suites(folder: Path, root: Path) -> tuple[app_tests.Suite, ...]:
    return app_tests.of_checkout(root, company(), folder, env=TOOL_ENV)


@pytest.mark.long
def test_a_node_app_is_tested_with_its_packages_in_the_sandbox(tmp_path: Path) -> None:
    code = written(tmp_path / "code", locked(tmp_path))
    [suite] = suites(code, tmp_path / "environments")
    run, _ = app_tests.run_confined(suite, code, scratch=tmp_path / "out", env=TOOL_ENV, readable=readable())
    assert [(case.app, case.outcome) for case in run.cases] == [("hours", "success")] * 2, run
    assert run.cases[0].cites("HOURS-1")
    assert run.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["junit.xml", "log.txt"]
    assert not (code / "apps/hours/written").exists()
    assert not (tmp_path / "x").exists()
    broken = written(tmp_path / "code", {"apps/hours/hours.test.js": "process.exit(4)\n"})
    run, _ = app_tests.run_confined(suite, broken, scratch=tmp_path / "out", env=TOOL_ENV, readable=readable())
    assert run.code == 1
    assert {case.outcome for case in run.cases} <= {"failed", "error"}


@pytest.mark.long
def test_in_the_job_each_app_has_its_cases_in_one_report(tmp_path: Path) -> None:
    code = written(tmp_path / "code", {**FILES, **locked(tmp_path), **MAKE})
    found = suites(code, tmp_path / "environments")
    assert [suite.app for suite in found if suite.own] == ["count", "hours"]
    assert app_tests.run(found, code, tmp_path / "out", env=TOOL_ENV) == 0
    run = junit.read_file(tmp_path / "out/junit.xml")
    outcomes = {case.name: case.outcome for case in run.cases if case.app}
    assert outcomes.pop(f"make test {EXIT_CODE}") == "success"
    assert list(outcomes.values()) == ["success", "success"]
    assert not (code / "apps/hours/written").exists()
    assert len([case for case in run.cases if not case.app]) == 2


@pytest.mark.parametrize("report", ["junit.xml", "out/junit.xml", "link/junit.xml", "linked.xml", "app.yml/junit.xml"])
def test_a_committed_report_is_of_no_run(tmp_path: Path, report: str) -> None:
    good = "<testsuite><testcase name='forged'/></testsuite>"
    app = f"kind: command\nchecks: {{unit: {{command: ['true'], report: {report}}}}}\n"
    code = written(tmp_path / "code", {"apps/count/app.yml": app, "elsewhere/junit.xml": good})
    written(code / "apps/count", {"junit.xml": good, "out/junit.xml": good})
    (code / "apps/count/link").symlink_to(code / "elsewhere")
    (code / "apps/count/linked.xml").symlink_to(code / "elsewhere/junit.xml")
    found = app_tests.suites(company(), ("count",), app_tests.contents(company(), code))
    assert app_tests.run(found, code, tmp_path / "out", env=TOOL_ENV) == 1
    assert [case.outcome for case in junit.read_file(tmp_path / "out/junit.xml").cases] == ["error"]
    assert (code / "elsewhere/junit.xml").exists()


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_tests_run_on_the_files_before_the_change_too(tmp_path: Path, *, sandbox: bool) -> None:
    code = written(tmp_path / "code", MAKE)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        process.run(["git", *command], cwd=code, env=TOOL_ENV)
    written(code, {"apps/count/Makefile": "test:\n\tfalse\n"})
    before, out = tmp_path / "before", tmp_path / "out"
    app_tests.take_before(code, "HEAD", ("count",), before, env=TOOL_ENV)
    found = suites(code, tmp_path / "environments")
    if sandbox:
        run = app_tests.confined_before(found, before, scratch=out, env=TOOL_ENV, readable=readable())
    else:
        app_tests.run_before(found, before, out, env=TOOL_ENV)
        run = junit.read_file(out / "junit.xml")
    assert [(case.app, case.outcome) for case in run.cases] == [("count", "success")]


def test_where_all_apps_are_one_suite_others_come_beside_it(tmp_path: Path) -> None:
    code = written(tmp_path, MAKE)
    policies = read_folder(ROOT)
    found = app_tests.suites(policies, ("count",), app_tests.contents(policies, code))
    assert [suite.app for suite in found] == ["", "count"]


@pytest.mark.parametrize(
    ("test", "expected"), [("true", "success"), ("exit 3", "failed"), ("missing-program", "failed")]
)
def test_a_command_without_a_report_has_its_exit_code(tmp_path: Path, test: str, expected: str) -> None:
    code = written(tmp_path / "code", {**MAKE, "apps/count/Makefile": f"test:\n\t{test}\n"})
    found = app_tests.suites(company(), ("count",), app_tests.contents(company(), code))
    failed = app_tests.run(found, code, tmp_path / "out", env=TOOL_ENV)
    run: TestRun = junit.read_file(tmp_path / "out/junit.xml")
    assert ([case.outcome for case in run.cases], failed) == ([expected], int(expected != "success"))
