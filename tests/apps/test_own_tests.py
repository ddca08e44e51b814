"""Tests that an app runs by a command of its own: which they are, and what their report says."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.apps import own_tests
from factory.apps.own_tests import OwnTests
from factory.checks import junit
from factory.errors import InvalidInput
from factory.model.facts import EXIT_CODE

PACKAGE = b'{"scripts": {"test": "node --test"}}'
NPM = b'{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'
GOOD = b'<testsuites><testsuite><testcase name="adds" classname="math"/></testsuite></testsuites>'
BAD = b'<testsuite><testcase name="adds"><failure message="3 is not 4"/></testcase></testsuite>'
MAKE = OwnTests("web", ("make", "test"), "out/junit.xml")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, None),
        ({"package.json": PACKAGE}, "npm test (node --test)"),
        (
            {"package.json": b'{"scripts": {"pretest": "node fake.js", "test": "node --test", "posttest": "x"}}'},
            "npm test (node fake.js && node --test && x)",
        ),
        ({"package.json": NPM}, None),
        ({"package.json": b"[]"}, None),
        ({"package.json": PACKAGE, "app.yml": b"kind: python\n"}, None),
        ({"app.yml": b"checks: {unit: {command: [make, test]}}\n"}, "make test"),
        (
            {"package.json": PACKAGE, "app.yml": b"checks: {unit: {command: [npm, test], report: j.xml}}\n"},
            "npm test (node --test), which leaves j.xml",
        ),
    ],
)
def test_an_apps_files_say_how_its_tests_run(given: dict[str, bytes], told: str | None) -> None:
    found = own_tests.in_files("web", given)
    assert (found.told if found else None) == told


LINT = b'{"scripts": {"lint": "eslint .", "prelint": "x", "typecheck": "tsc"}}'


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {}),
        ({"package.json": PACKAGE}, {}),
        ({"package.json": LINT}, {"lint": "npm run lint (x && eslint .)", "types": "npm run typecheck (tsc)"}),
        ({"package.json": LINT, "app.yml": b"kind: python\n"}, {}),
        (
            {"package.json": LINT, "app.yml": b"checks: {lint: {command: [npm, run, lint], report: a.sarif}}\n"},
            {"lint": "npm run lint (x && eslint .), which leaves a.sarif", "types": "npm run typecheck (tsc)"},
        ),
        ({"app.yml": b"checks: {security: {command: [make, scan]}}\n"}, {"security": "make scan"}),
    ],
)
def test_an_apps_files_say_its_other_checks(given: dict[str, bytes], told: dict[str, str]) -> None:
    assert {check.gate: check.told for check in own_tests.checks_in_files("web", given)} == told


COVERED = OwnTests("web", ("make", "test"), coverage="lcov.info")


@pytest.mark.parametrize(
    ("left", "message"),
    [(b"SF:a.js\nDA:1,1\n", ""), (None, "left no lcov.info"), (b"x", "no line"), (b"SF:/a\n", "not a file of the app")],
)
def test_a_report_of_lines_that_cannot_be_read_is_an_error(tmp_path: Path, left: bytes | None, message: str) -> None:
    if left is not None:
        (tmp_path / "lcov.info").write_bytes(left)
    run = junit.read(own_tests.junit_of(COVERED, tmp_path, 0))
    assert [case.outcome for case in run.cases] == (["success", "error"] if message else ["success"])
    assert message in run.cases[-1].message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"package.json": b"{"}, "package.json is not JSON"),
        ({"app.yml": b"checks: {unit: {command: []}}\n"}, "apps/web/app.yml:1: checks.unit.command"),
        ({"app.yml": b"checks: {unit: {command: [a], report: ../b}}\n"}, "apps/web/app.yml:1: checks.unit.report"),
        ({"app.yml": b"checks: {units: {command: [a]}}\n"}, "apps/web/app.yml:1: checks.units"),
    ],
)
def test_what_they_may_not_say(given: dict[str, bytes], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        own_tests.in_files("web", given)


@pytest.mark.parametrize(
    ("tests", "left", "code", "outcomes", "message"),
    [
        (MAKE, GOOD, 0, ["success"], ""),
        (MAKE, BAD, 1, ["failed"], "3 is not 4"),
        (MAKE, GOOD, 2, ["success", "error"], "ended with 2, but out/junit.xml has no failure"),
        (MAKE, None, 0, ["error"], "the command left no out/junit.xml"),
        (MAKE, b"<testsuites/>", 0, ["error"], "out/junit.xml has no test"),
        (MAKE, b"<!DOCTYPE x><a/>", 0, ["error"], "XML entities"),
        (OwnTests("web", ("make", "test")), None, 0, ["success"], ""),
        (OwnTests("web", ("make", "test")), GOOD, 3, ["failed"], "it ended with 3"),
    ],
)
def test_a_report_says_all_that_is_known(
    tmp_path: Path, tests: OwnTests, left: bytes | None, code: int, outcomes: list[str], message: str
) -> None:
    if left is not None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/junit.xml").write_bytes(left)
    run = junit.read(own_tests.junit_of(tests, tmp_path, code))
    assert [case.outcome for case in run.cases] == outcomes
    assert {case.app for case in run.cases} == {"web"}
    assert message in run.cases[-1].message
    assert tests.report or run.cases[-1].name == f"make test {EXIT_CODE}"


def test_a_report_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "junit.xml").write_bytes(GOOD)
    (tmp_path / "work/out").symlink_to(tmp_path)
    run = junit.read(own_tests.junit_of(MAKE, tmp_path / "work", 0))
    assert [case.outcome for case in run.cases] == ["error"]
    assert "outside" in run.cases[0].message


def test_a_copy_has_no_pipes_links_to_packages_and_says_what_cannot_be_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "node_modules").mkdir(parents=True)
    os.mkfifo(source / "pipe")
    (source / "link").symlink_to("/etc/passwd")
    work = own_tests.stage(source, tmp_path / "work", tmp_path)
    assert {path.name: path.is_symlink() for path in work.iterdir()} == {"link": True, "node_modules": True}
    with pytest.raises(InvalidInput, match="cannot be copied"):
        own_tests.stage(tmp_path / "missing", tmp_path / "other", None)


@given(left=st.binary(max_size=200) | st.text(max_size=60).map(lambda text: f"<testcase name='{text}'/>".encode()))
def test_no_bytes_make_a_run_without_a_case(tmp_path_factory: pytest.TempPathFactory, left: bytes) -> None:
    work = tmp_path_factory.mktemp("own")
    (work / "out").mkdir()
    (work / "out/junit.xml").write_bytes(left)
    run = junit.read(own_tests.junit_of(MAKE, work, 1))
    assert run.problem == ""
    assert any(case.outcome in {"failed", "error"} for case in run.cases)


def test_properties_name_requirements() -> None:
    data = (
        b'<testcase name="a"><properties><property name="requirement" value="A-1"/>'
        b'<property name="other" value="A-2"/></properties></testcase>'
    )
    assert junit.read(data).cases[0].requirements == ("A-1",)
