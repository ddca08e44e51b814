"""What tools, sources and manifests say, read into facts: the plain case, and that no bytes give a traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.checks import coverage, dependencies, junit, leaks, performance, static, tests_in_sources
from factory.checks.dependencies import IMPORTED
from factory.checks.secret_shapes import SHAPES
from factory.model.facts import Change, ChangedFile
from tests.servers import TOOL_ENV

TESTS = """
import pytest

@pytest.mark.spec("A-1", "A-2")
def test_one(): assert call() == 1

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.skip)])
def test_two(x): assert x

class TestMore:
    def test_three(self):
        with pytest.raises(ValueError):
            call()

def test_four():
    return
    assert call() == 1

def test_five():
    if False:
        assert call() == 1
    assert True

def helper(): assert call() == 1
"""


def test_tests_are_read_without_running_them() -> None:
    found = {test.name: test for test in tests_in_sources.read({"apps/a/tests/test_a.py": TESTS.encode()})}
    assert {name: test.asserts for name, test in found.items()} == {
        "test_one": 2,
        "test_two": 1,
        "TestMore.test_three": 2,
        "test_four": 0,
        "test_five": 0,
    }
    assert found["test_one"].requirements == ("A-1", "A-2")
    assert [name for name, test in found.items() if test.skipped] == ["test_two"]


def test_marks_of_a_module_hold_for_each_of_its_tests() -> None:
    source = b'import pytest\npytestmark = [pytest.mark.skip, pytest.mark.spec("A-1")]\ndef test_a(): assert f()\n'
    (test,) = tests_in_sources.read({"apps/a/test_a.py": source})
    assert (test.skipped, test.requirements) == (True, ("A-1",))


def test_dependencies_of_manifests_and_imports() -> None:
    found = dependencies.read(
        {
            "apps/a/requirements.txt": b"one==1.0  # why\ntwo>=2\n-r other.txt\nthree @ https://x/y.whl\n",
            "apps/a/pyproject.toml": b'[project]\ndependencies = ["Four_x==4.*"]\n',
            "apps/a/package.json": b'{"dependencies": {"left": "1.2.3", "right": "^1.0.0"}}',
            "apps/a/src/a.py": b"import os, json.x\nimport b\nfrom requests import get\nfrom . import c\n",
            "apps/a/src/b.py": b"",
        }
    )
    assert {(item.name, item.pinned) for item in found} == {
        ("one", True),
        ("two", False),
        ("-r other.txt", False),
        ("three", False),
        ("four-x", False),
        ("left", True),
        ("right", False),
        ("requests", True),
    }
    assert [item.name for item in found if item.version == IMPORTED] == ["requests"]


def test_a_lock_pins_the_ranges_of_the_manifest_beside_it() -> None:
    npm = {
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "a", "version": "1.0.0"},
            "node_modules/left": {"version": "1.4.0", "integrity": "sha512-x"},
            "node_modules/left/node_modules/deep": {"version": "2.0.0-rc.1", "integrity": "sha512-x"},
            "node_modules/alias": {"name": "real", "version": "1.0.0", "integrity": "sha512-x"},
            "node_modules/git": {"version": "1.0.0", "resolved": "git+ssh://git@host/git.git#1"},
            "node_modules/near": {"link": True, "resolved": "near"},
        },
    }
    wanted = {"left": "^1.0.0", "git": "^1.0.0", "alias": "npm:real@^1.0.0", "absent": "^1.0.0"}
    uv = """version = 1
[[package]]
name = "a"
version = "0.1.0"
source = { virtual = "." }
[[package]]
name = "Flask"
version = "3.0.0"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "forked"
version = "1.0"
source = { git = "https://host/forked" }
"""
    found = dependencies.read(
        {
            "apps/a/package.json": json.dumps({"dependencies": wanted}).encode(),
            "apps/a/package-lock.json": json.dumps(npm, indent=2).encode(),
            "apps/a/pyproject.toml": b'[project]\ndependencies = ["flask>=2", "forked"]\n',
            "apps/a/uv.lock": uv.encode(),
            "apps/b/package.json": b'{"dependencies": {"left": "^1.0.0", "django": "^5.0.0"}}',
            "apps/b/requirements.in": b"django\n",
            "apps/b/requirements.txt": b"django==5.0 --hash=sha256:0\n",
        }
    )
    unpinned = {(item.path.rpartition("/")[2], item.name, item.version) for item in found if not item.pinned}
    assert unpinned == {
        ("package.json", "git", "^1.0.0"),
        ("package.json", "alias", "npm:real@^1.0.0"),
        ("package.json", "absent", "^1.0.0"),
        ("package-lock.json", "git", "1.0.0"),
        ("package-lock.json", "near", ""),
        ("pyproject.toml", "forked", ""),
        ("uv.lock", "forked", "1.0"),
        ("package.json", "left", "^1.0.0"),
        ("package.json", "django", "^5.0.0"),
    }
    assert [item.path for item in found if item.name == "left" and not item.pinned] == ["apps/b/package.json"]
    lines = {item.name: item.line for item in found if item.path.endswith("lock.json")}
    assert (lines["left"], lines["deep"], lines["real"]) == (8, 12, 16)
    assert "a" not in {item.name for item in found}


_MANIFESTS = ["requirements.txt", "pyproject.toml", "package.json", "package-lock.json", "uv.lock", "src/a.py"]


@given(st.binary(max_size=300), st.sampled_from(_MANIFESTS))
def test_no_bytes_break_the_readers(data: bytes, name: str) -> None:
    path = f"apps/a/{name}"
    assert {item.path for item in dependencies.read({path: data})} <= {path}
    assert {item.path for item in tests_in_sources.read({"apps/a/test_a.py": data})} <= {"apps/a/test_a.py"}
    assert coverage.read(data).problem
    assert set(leaks.shapes(data.decode(errors="replace"))) <= {leaks.ASSIGNED, *(shape for shape, _ in SHAPES)}


@pytest.mark.parametrize(
    "data",
    [None, b"", b"[]", b'{"files": {"a": {}}}', b'{"files": {"a": {"executed_lines": ["x"]}}}'],
)
def test_coverage_that_cannot_be_read_is_a_problem(data: bytes | None) -> None:
    assert coverage.read(data).problem


def test_a_report_that_is_too_large_or_a_link_is_a_problem_and_none_is_missing(tmp_path: Path) -> None:
    large, link = tmp_path / "large", tmp_path / "link"
    with large.open("wb") as file:
        file.truncate(16 * 2**20 + 1)
    link.symlink_to("/dev/zero")
    for path, problem in ((large, "large has more than 16 MiB"), (link, "not a regular file")):
        assert problem in junit.read_file(path).problem
        assert problem in coverage.read_file(path).problem
        path.rename(tmp_path / "head.jsonl")
        (tmp_path / "base.jsonl").write_text('{"a": 1}')
        assert performance.read(tmp_path) is None
    assert "missing" in junit.read_file(tmp_path / "none").problem
    assert "no coverage" in coverage.read_file(tmp_path / "none").problem


def test_coverage_by_file() -> None:
    found = coverage.read(b'{"files": {"a.py": {"executed_lines": [2, 1], "missing_lines": [3]}}}')
    assert (found.executed, found.missing, found.problem) == ((("a.py", (1, 2)),), (("a.py", (3,)),), "")


def test_logs_are_searched_whole_and_secrets_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.txt").write_bytes(b"\xff\nok\nkey AKIA" + b"A" * 16 + b" \n")
    found = leaks.scan(tmp_path)
    assert [(item.rule, item.path, item.line, item.message) for item in found.problems] == [
        ("aws-key", "a/log.txt", 3, "")
    ]


@pytest.mark.parametrize(
    "source",
    ["x = " + " + ".join(["y"] * 3000), "x" + ".a" * 2000 + "()", "if x:\n pass\n" + "elif y:\n pass\n" * 2000],
)
def test_deep_sources_are_not_read_and_say_so(source: str) -> None:
    text = f"def test_a():\n    assert f() == 1\n{source}\n".encode()
    assert tests_in_sources.read({"apps/a/tests/test_a.py": text}) is not None
    assert dependencies.read({"apps/a/src/a.py": b"import requests\n" + text})


@pytest.mark.parametrize(
    "line",
    [
        "a-" * 100_000 + "b://" * 10_000 + "token=" * 50_000,
        "token: " + "a" * 2000 + "!",
        "token: " + "A" * 2000 + "!",
        "token: " + "1" * 2000 + "!",
        "token: " + "aB" * 1000 + "/$",
        "password" + " " * 100_000,
        "curl " * 20_000 + "-u ",
        "<token>" * 20_000,
        " --token" * 20_000,
        "password " * 20_000,
        "redis://:" * 20_000,
    ],
)
def test_a_long_line_is_searched_in_one_pass(line: str) -> None:
    assert not list(leaks.shapes(line))


@pytest.mark.parametrize("before", [0, 1000, 1023, 1024, 5000])
def test_a_secret_is_found_anywhere_in_a_long_line(before: int) -> None:
    line = "x " * before + 'password = "correct-horse-battery-1"' + " y" * 3000
    assert list(leaks.shapes(line)) == ["assigned-secret"]


def test_numbers_without_end_are_no_numbers() -> None:
    report = b'<t><testcase name="a"><failure>apps/a.py:' + b"9" * 6000 + b": no</failure></testcase></t>"
    assert junit.read(report, b"1" * 6000).code is None


@given(st.binary(max_size=200))
def test_benchmarks_are_read_or_not(data: bytes) -> None:
    assert performance._collected is not None  # noqa: SLF001 - the reader of one file
    try:
        performance._collected(data.splitlines())  # noqa: SLF001
    except (ValueError, TypeError, AttributeError, RecursionError):
        return


def test_benchmarks_of_both_sides_become_medians(tmp_path: Path) -> None:
    (tmp_path / "base.jsonl").write_text('{"a": 1, "gone": 1}\n{"a": 3}\n{"a": 2}\n')
    (tmp_path / "head.jsonl").write_text('{"a": 4}\n')
    (timing,) = performance.read(tmp_path) or ()
    assert (timing.name, timing.base, timing.head) == ("a", 2, 4)
    (tmp_path / "head.jsonl").write_text('{"a": -1}\n')
    assert performance.read(tmp_path) is None


def changed(*paths: str) -> Change:
    return Change("b", "h", tuple(ChangedFile(path, "A", 1, 0) for path in paths))


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("no-such-tool",), "not installed"),
        (("sh", "-c", "echo broken >&2; exit 2"), "broken"),
        (("sh", "-c", "echo not json"), "cannot be read"),
        (("sh", "-c", "echo '[{}]'"), "cannot be read"),
    ],
)
def test_a_tool_that_does_not_work_is_a_problem(tmp_path: Path, command: tuple[str, ...], problem: str) -> None:
    assert problem in static.lint(command, tmp_path, changed("apps/a/src/a.py"), env=TOOL_ENV).problem


def test_tools_look_at_sources_of_apps_alone(tmp_path: Path) -> None:
    assert static.sources(changed("apps/a/src/a.py", "factory/x.py", "apps/a/README.md")) == ["apps/a/src/a.py"]
    assert static.lint(("no-such-tool",), tmp_path, changed("docs/a.md"), env=TOOL_ENV).problem == ""
