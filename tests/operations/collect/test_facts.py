"""The facts of a change that is too large to be read: what is wrong with it, and no error."""

from pathlib import Path

import pytest

from factory.gates.run import decide
from factory.model.facts import Facts, Origin
from factory.operations.collect import facts as collecting
from factory.policies.folder import read_folder
from tests.servers import ROOT, TOOL_ENV, git

MIB = 2**20


def collected(folder: Path) -> Facts:
    base, head = (git("rev-parse", name, cwd=folder).stdout.strip() for name in ("HEAD~1", "HEAD"))
    place = collecting.Checkout(folder, base, head, "", Origin("agent"), "2026-11-20", TOOL_ENV)
    return collecting.facts(place, read_folder(ROOT), judge=lambda _: None)


@pytest.mark.parametrize("removed", [False, True])
def test_a_change_that_is_too_large_is_a_finding_that_names_its_largest_file(tmp_path: Path, *, removed: bool) -> None:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    (tmp_path / "small").write_text("1")
    large = tmp_path / "wörld map"
    if removed:
        large.write_bytes(bytes(65 * MIB))
        git("add", "-A", cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=tmp_path)
    large.unlink() if removed else large.write_bytes(bytes(65 * MIB))
    (tmp_path / "small").write_text("2")
    git("add", "-A", cwd=tmp_path)
    git("commit", "-q", "-m", "two", cwd=tmp_path)
    facts = collected(tmp_path)
    problem = "the change is too large to be read: its largest file is wörld map (65 MiB)"
    assert facts.change is not None
    assert (facts.change.problem, facts.change.origin) == (problem, Origin("agent"))
    decision = decide(facts, read_folder(ROOT), where="local", judge_sha="j")
    assert not decision.passed
    found = {finding.rule: finding.message for verdict in decision.verdicts for finding in verdict.findings}
    assert found == {"scope.unread": problem, "secrets.unsearched": problem}


def test_what_a_tool_found_before_the_change_is_not_the_changes(tmp_path: Path) -> None:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    code = tmp_path / "apps/a/src/a.py"
    code.parent.mkdir(parents=True)
    code.write_text("import pickle\n\n\ndef load(data: bytes) -> object:\n    return pickle.loads(data)\n")
    git("add", "-A", cwd=tmp_path)
    git("commit", "-q", "-m", "one", cwd=tmp_path)
    code.write_text(f"{code.read_text()}\n\ndef run(text: str) -> object:\n    return eval(text)\n")
    (tmp_path / "apps/a/src/b.py").write_text("exec('')\n")
    git("add", "-A", cwd=tmp_path)
    git("commit", "-q", "-m", "two", cwd=tmp_path)
    found = collected(tmp_path).security
    assert found is not None
    assert {(item.path, item.rule) for item in found.problems} == {
        ("apps/a/src/a.py", "S307"),
        ("apps/a/src/b.py", "S102"),
    }
