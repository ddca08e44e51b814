"""Facts from a real repository and from JUnit reports, good and bad."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.checks import change, junit, tool
from factory.sandbox import launch
from tests.servers import TOOL_ENV, TOOL_PATH, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    (tmp_path / "kept.txt").write_text("1\n2\n3\n")
    (tmp_path / "moved.txt").write_text("same\n" * 5)
    (tmp_path / "gone.txt").write_text("x\n")
    git("add", "-A", cwd=tmp_path)
    git("commit", "-qm", "one", cwd=tmp_path)
    return tmp_path


def test_what_changed(repository: Path) -> None:
    (repository / "kept.txt").write_text("1\ntwo\n3\n++ four\n")
    git("mv", "moved.txt", "ümlaut name.txt", cwd=repository)
    git("rm", "-q", "gone.txt", cwd=repository)
    (repository / "picture").write_bytes(b"\0\1")
    git("add", "-A", cwd=repository)
    git("commit", "-qm", "two\n\nSpec: hello", cwd=repository)
    base, head = (git("rev-parse", name, cwd=repository).stdout.strip() for name in ("HEAD~1", "HEAD"))
    found = change.collect(repository, base, head, env=TOOL_ENV)
    assert {file.path: file.status for file in found.files} == {
        "kept.txt": "M",
        "moved.txt": "D",
        "gone.txt": "D",
        "picture": "A",
        "ümlaut name.txt": "A",
    }
    kept = next(file for file in found.files if file.path == "kept.txt")
    assert kept.lines == ((2, "two"), (4, "++ four"))
    assert (kept.added, kept.removed) == (2, 1)
    assert "Spec: hello" in found.messages[0]


def test_nothing_hides_an_added_line(repository: Path) -> None:
    secret = "glpat-abcdefghijklmnop12"
    (repository / ".gitattributes").write_text("* -diff\n")
    (repository / "binary").write_bytes(b"\0\n" + secret.encode() + b"\n")
    (repository / "form feed").write_text(f"a\x0c{secret}\n\x0cdiff --git a/x b/x\n{secret}\n")
    (repository / 'q"uote').write_text(secret)
    (repository / "long").write_text("x" * 5000 + secret)
    git("init", "-q", "nested", cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", "n", cwd=repository / "nested")
    git("add", "-A", cwd=repository)
    git("commit", "-qm", "two", cwd=repository)
    base, head = (git("rev-parse", name, cwd=repository).stdout.strip() for name in ("HEAD~1", "HEAD"))
    found = {file.path: file for file in change.collect(repository, base, head, env=TOOL_ENV).files}
    for name, times in (("binary", 1), ("form feed", 2), ('q"uote', 1), ("long", 1)):
        assert sum(secret in line for _, line in found[name].lines) == times, name
    assert found["nested"].status == "S"


def test_junit_outcomes_and_places() -> None:
    report = b"""<testsuite><testcase classname="a.b" name="c"/>
    <testcase name="d"><failure message="no">apps/x.py:7: AssertionError</failure></testcase>
    <testcase name="e"><skipped/></testcase><testcase name="f"><error>boom</error></testcase></testsuite>"""
    run = junit.read(report)
    assert [case.outcome for case in run.cases] == ["success", "failed", "skipped", "error"]
    assert (run.cases[1].path, run.cases[1].line) == ("apps/x.py", 7)


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"<a",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16"),
    ],
)
def test_junit_that_cannot_be_read_is_a_problem(data: bytes | None) -> None:
    assert junit.read(data).problem


@given(st.binary())
def test_any_bytes_are_a_report_or_a_problem(data: bytes) -> None:
    found = junit.read(data)
    assert bool(found.problem) != bool(found.cases)


@pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
def test_a_check_sees_neither_network_nor_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("s")
    script = f"""
import pathlib, socket, sys
seen = pathlib.Path({str(secret)!r}).exists()
try:
    socket.create_connection(("127.0.0.1", 9), 1); net = True
except ConnectionRefusedError: net = False
except OSError: net = False
ok = not seen and not net
report = sys.argv[1].partition("=")[2]
pathlib.Path(report).write_text('<t><testcase name="%s"/></t>' % ("ok" if ok else "leak"))
"""
    run, _ = tool.run_tests(
        ("python3", "-c", script), tmp_path / "work", scratch=tmp_path / "scratch", env=TOOL_ENV, readable=()
    )
    assert [case.name for case in run.cases] == ["ok"]
