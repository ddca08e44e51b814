"""Verification by anyone: outside of a control repository, with the evidence and a trust root alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli import command_line
from tests.evidence import examples
from tests.servers import TOOL_PATH, git

BRANCH = "factory/evidence"


def commit(folder: Path, tree: Mapping[str, bytes]) -> None:
    """Make the branch's newest commit hold exactly these files."""
    git("rm", "-rqf", "--ignore-unmatch", ".", cwd=folder)
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=folder)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Return a folder with a repository ``project`` that holds evidence, a file ``trust.json`` and an empty home."""
    git("init", "-q", "-b", BRANCH, "project", cwd=tmp_path)
    commit(tmp_path / "project", examples.recorded(examples.statements()))
    (tmp_path / "trust.json").write_text(examples.trust().write().decode())
    (tmp_path / "home").mkdir()
    return tmp_path


def run(folder: Path, *arguments: str) -> Any:
    """Run a command where there is no control repository, with an empty home."""
    return command_line.run(arguments, cwd=folder, env={"HOME": str(folder / "home"), "PATH": TOOL_PATH})


def verify(folder: Path, *more: str) -> Any:
    return run(folder, "evidence", "verify", "--from", "project", "--trust", "trust.json", *more)


def test_it_needs_the_evidence_and_a_trust_root_alone(evidence: Path) -> None:
    done = verify(evidence, "12")
    assert done.returncode == 0, done.stderr
    assert "consistent: this machine has seen no earlier checkpoint, and nobody else" in done.stdout
    assert "the chain is complete" in done.stdout
    again = verify(evidence)
    assert "continued from the checkpoint that this machine saw at 20" in again.stdout


def test_a_log_without_a_statement_is_broken_only_to_who_has_seen_one(evidence: Path) -> None:
    git("init", "-q", "-b", BRANCH, "empty", cwd=evidence)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=evidence / "empty")
    argv = ("evidence", "verify", "--from", "empty", "--trust", "trust.json")
    done = run(evidence, *argv)
    assert (done.returncode, "has no evidence yet" in done.stderr) == (4, True)
    assert verify(evidence).returncode == 0
    assert run(evidence, *argv).returncode == 13


@pytest.mark.parametrize("how", [slice(1), slice(None, None, -1)], ids=["rolled back", "forked"])
def test_a_log_that_is_another_than_before_is_found(evidence: Path, how: slice) -> None:
    assert verify(evidence).returncode == 0
    commit(evidence / "project", examples.recorded(examples.statements()[how]))
    done = verify(evidence)
    assert done.returncode == 13, done.stdout
    assert "EV-LOG-CONSISTENCY" in done.stdout
    assert json.loads(verify(evidence, "--json").stdout)["history"].startswith("broken at ")


def test_a_link_in_the_tree_is_found(evidence: Path) -> None:
    (evidence / "project/statements/link").symlink_to("/etc/passwd")
    git("add", "-A", cwd=evidence / "project")
    git("commit", "-q", "-m", "x", cwd=evidence / "project")
    done = verify(evidence)
    assert "statements/link has the mode 120000, not 100644" in done.stdout


def test_a_file_that_is_no_trust_root_is_refused(evidence: Path) -> None:
    (evidence / "trust.json").write_text("{")
    done = verify(evidence)
    assert (done.returncode, "is not a trust root" in done.stderr) == (3, True)
    assert "factory evidence trust" in done.stderr


def test_a_timeline_needs_no_instance(evidence: Path) -> None:
    for subject, code in (("!12", 0), ("#7", 0), ("7", 0), ("v1", 0), ("!13", 4), ("v2", 4)):
        done = run(evidence, "evidence", "timeline", subject, "--from", "project")
        assert done.returncode == code, done.stderr
        assert ("merge approved by operator (human)" in done.stdout) is (code == 0)
    assert run(evidence, "evidence", "timeline", "!12", "--from", "project", "--html", "t.html").returncode == 0
    assert "merge approved by operator (human)" in (evidence / "t.html").read_text()


def test_why_tells_where_a_line_comes_from(evidence: Path) -> None:
    project = evidence / "project"
    git("checkout", "-q", "--orphan", "main", cwd=project)
    commit(project, {"src/app.py": b"import os\n\nprint(os.sep)\n"})
    head = git("rev-parse", "HEAD", cwd=project).stdout.strip()
    commit(project, {"src/app.py": b"import os\n\nprint(os.sep)\nprint(1)\n"})
    git("checkout", "-q", BRANCH, cwd=project)
    made = {"head": head}
    changes = {"attempt": made, "verdict": made, "merge approval": made, "merge": {**made, "merge_commit": head}}
    commit(project, examples.recorded(examples.statements({**changes, "deploy": {"commit": head}})))
    git("clone", "-q", "-b", "main", "project", "clone", cwd=evidence)
    shown = run(evidence, "why", "clone/src/app.py:3").stdout
    assert shown.startswith(f"print(os.sep)\n\ncommit      {head[:12]} x\n")
    for told in (
        "made        attempt 1 of session s-7",
        "requires    HELLO-1 passed: tests.test_hello",
        "deployed    production",
    ):
        assert told in shown
    assert "unknown" not in shown
    assert run(evidence, "why", "clone/src/app.py:3", "--html", "why.html").returncode == 0
    page = (evidence / "why.html").read_text()
    assert "print(os.sep)" in page
    assert "attempt 1 of session s-7" in page
    later = json.loads(run(evidence, "why", "clone/src/app.py:4", "--json").stdout)
    assert later["made"].startswith("written by ")
    assert len(later["unknown"]) == 1
    for where, code in (("clone/src/app.py", 3), ("clone/src/app.py:99", 4), ("nothing:1", 4), ("trust.json:1", 4)):
        assert run(evidence, "why", where).returncode == code


def test_a_bundle_needs_no_instance_and_no_broken_evidence(evidence: Path) -> None:
    done = run(evidence, "evidence", "bundle", "!12", "--from", "project", "--trust", "trust.json")
    assert done.returncode == 0, done.stderr
    assert (evidence / "evidence-12.zip").exists()
    for wrong in ("!99", "no-release"):
        told = run(evidence, "evidence", "bundle", wrong, "--from", "project", "--trust", "trust.json")
        assert told.returncode != 0
        assert "no statement of" in told.stderr
    more = run(evidence, "evidence", "bundle", "--since", "2026-01-01", "--from", "project", "--trust", "trust.json")
    assert more.returncode == 0, more.stderr
    (evidence / "project/checkpoint").write_bytes(b"x")
    git("commit", "-qam", "x", cwd=evidence / "project")
    broken = run(evidence, "evidence", "bundle", "!12", "--from", "project", "--trust", "trust.json", "--out", "b.zip")
    assert broken.returncode == 13
    assert not (evidence / "b.zip").exists()
