"""``factory gate`` on a checkout: local runs before a push, and the files that the pipeline's jobs pass on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.instances import Instance, make_instance
from tests.servers import git

HELLO = "apps/hello/src/hello.py"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    made = make_instance(tmp_path_factory.mktemp("gate"))
    git("checkout", "-qb", "change", cwd=made.clone)
    source = made.clone / HELLO
    source.write_text(source.read_text().replace("without dependencies", "on Python alone"))
    git("commit", "-qam", "Say what it needs\n\nSpec: hello", cwd=made.clone)
    return made


def gate(clone: Instance, *arguments: str, **env: str) -> Any:
    return clone.run("gate", *arguments, check=False, stdin=None, **env)


def verdict(clone: Instance) -> bytes:
    return (clone.clone / ".factory/verdict/verdict.json").read_bytes()


@pytest.mark.long
def test_a_person_runs_the_local_gates_before_pushing(clone: Instance) -> None:
    done = gate(clone, "run", "--base", "main")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("scope", "unit", "types", "lint", "security"):
        assert f"✓ {name}" in done.stdout
    first = verdict(clone)
    assert json.loads(first)["digest"] in done.stdout
    assert gate(clone, "run", "--base", "main").returncode == 0
    assert verdict(clone) == first


def test_the_pipeline_judges_the_facts_of_its_jobs_and_fails_without_them(clone: Instance) -> None:
    assert gate(clone, "check", "--base", "main").returncode == 0
    claims = clone.clone / ".factory/claims/unit"
    claims.mkdir(parents=True)
    for name in ("junit.xml", "coverage.json"):
        with (claims / name).open("wb") as file:
            file.truncate(16 * 2**20 + 1)
    done = gate(clone, "run", "--where", "pipeline", "--judge-sha", "j")
    shutil.rmtree(claims.parent)
    assert done.returncode == 6
    assert "junit.xml has more than 16 MiB" in done.stdout
    results = {item["gate"]: item["result"] for item in json.loads(verdict(clone))["gates"]}
    assert results["lint"] == "passed"
    assert {results[name] for name in ("unit", "contract")} == {"skipped"}
    assert results["plan"] == "failed"
    (clone.clone / ".factory/facts/facts.json").unlink()
    assert gate(clone, "run", "--where", "pipeline").returncode == 6


def test_history_says_what_the_gates_would_have_done_to_past_merges(tmp_path: Path) -> None:
    made = make_instance(tmp_path)
    (made.clone / "docs").mkdir(exist_ok=True)
    (made.clone / "docs/fine.md").write_text("Fine.\n")
    git("add", "-A", cwd=made.clone)
    git("commit", "-qm", "Add a page", cwd=made.clone)
    git("checkout", "-qb", "coupons", cwd=made.clone)
    (made.clone / ".env").write_text("DB_PASSWORD=Zx81kQp4vLm29TbR7wYc\n")
    git("add", "-Af", cwd=made.clone)
    git("commit", "-qm", "Add coupons", cwd=made.clone)
    git("checkout", "-q", "main", cwd=made.clone)
    message = "Merge branch 'coupons'\n\nSee merge request acme/shop!38"
    git("merge", "-q", "--no-ff", "coupons", "-m", message, cwd=made.clone)

    done = gate(made, "run", "--history", "2")
    assert done.returncode == 0, done.stderr
    assert "of your last 2 merges 1 would pass, 1 would be blocked" in done.stdout
    assert "!38" in done.stdout
    assert "  secrets .env:1 " in done.stdout
    assert "Zx81" not in done.stdout + done.stderr
    newest, older = json.loads(gate(made, "run", "--history", "2", "--json").stdout)
    assert (newest["merge_request"], list(newest["failed"]), older["failed"]) == (38, ["secrets"], {})
    assert "unit" in newest["skipped"]
    assert not list(made.clone.glob(".factory/verdict/*")), "it leaves no verdict"
    assert len(json.loads(gate(made, "run", "--history", "999", "--json").stdout)) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"date": 1}', "\0", "[" * 100_000])
def test_facts_that_are_not_ours_are_refused(clone: Instance, text: str) -> None:
    path = clone.clone / ".factory/facts/facts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    done = gate(clone, "run", "--where", "pipeline")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    path.unlink()


@pytest.mark.long
def test_the_reports_for_gitlab_exist(clone: Instance) -> None:
    gate(clone, "run", "--base", "main", CI_JOB_URL="http://gitlab.test/x/-/jobs/1")
    folder = clone.clone / ".factory/verdict"
    assert json.loads((folder / "findings.sarif").read_text())["version"] == "2.1.0"
    shown = json.loads((folder / "code-quality.json").read_text())
    assert {(item["check_name"], item["severity"]) for item in shown} == {("spec.unproven", "info")}
    assert (folder / "cobertura.xml").read_text().startswith("<?xml")
    assert "jobs/1" in (folder / "annotations.json").read_text()


@pytest.mark.long
def test_contracts_are_passed_on_from_the_judge(clone: Instance, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    git("worktree", "add", "-q", str(judge), "main", cwd=clone.clone)
    (clone.clone / "apps/hello/openapi.yml").write_text("paths: {}\n")
    try:
        assert gate(clone, "check", "--judge", str(judge), "--base", "main").returncode == 0
        frozen = clone.clone / ".factory/judge/apps/hello"
        assert (frozen / "openapi.yml").read_bytes() == (judge / "apps/hello/openapi.yml").read_bytes()
        assert (frozen / "tests/contract/test_contract.py").exists()
    finally:
        git("checkout", "-q", "apps", cwd=clone.clone)


@pytest.mark.long
def test_a_benchmark_is_passed_on_if_its_gate_is_enabled(clone: Instance) -> None:
    gates = clone.clone / "policies/gates.yml"
    text = gates.read_text()
    gates.write_text(
        text.replace("  plan:", "  performance: {where: pipeline, required: true}\n  plan:").replace(
            "checks:\n", "checks:\n  performance: [python, .factory/judge/apps/hello/bench.py]\n"
        )
    )
    try:
        assert gate(clone, "check", "--base", "main").returncode == 0
        out = clone.clone / ".factory/claims/performance"
        out.mkdir(parents=True, exist_ok=True)
        script = ["sh", ".factory/judge/performance"]

        # Both commits have the same code: on a busy machine, one measurement may show a difference.
        for _ in range(3):
            subprocess.run(script, cwd=clone.clone, env=clone.env(OUT=str(out), PY=sys.executable), check=True)
            gate(clone, "run", "--where", "pipeline")
            results = {item["gate"]: item["result"] for item in json.loads(verdict(clone))["gates"]}
            if results["performance"] == "passed":
                break
            git("worktree", "remove", "--force", ".factory/base", cwd=clone.clone)
        assert results["performance"] == "passed"
    finally:
        gates.write_text(text)
        git("worktree", "prune", cwd=clone.clone)


def test_facts_go_nowhere_by_a_link_or_a_commit(clone: Instance, tmp_path: Path) -> None:
    folder = clone.clone / ".factory"
    kept = tmp_path / "kept"
    folder.rename(kept) if folder.exists() else kept.mkdir()
    folder.symlink_to(kept)
    try:
        done = gate(clone, "check", "--base", "main")
        assert done.returncode == 3
        assert "is a symbolic link" in done.stderr
    finally:
        folder.unlink()


def test_a_missing_base_is_one_clear_line(clone: Instance) -> None:
    done = gate(clone, "run", "--base", "nowhere")
    assert done.returncode == 3
    assert "the change cannot be read" in done.stderr


def test_a_dirty_app_is_not_challenged(clone: Instance) -> None:
    source = clone.clone / HELLO
    text = source.read_text()
    source.write_text(text + "# more\n")
    try:
        done = gate(clone, "challenge", "--limit", "1")
        assert done.returncode == 3
        assert "uncommitted" in done.stderr
    finally:
        source.write_text(text)


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
def test_the_challenge_kills_most_of_a_sample_and_prints_the_rest(clone: Instance) -> None:
    done = gate(clone, "challenge", "--limit", "16", "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seeded"] == 16
    assert found["percent"] >= 90


def test_without_a_base_it_says_what_it_compared_or_what_to_name(clone: Instance) -> None:
    first, last = (git("rev-parse", name, cwd=clone.clone).stdout[:12] for name in ("main", "HEAD"))
    git("remote", "add", "origin", "/nonexistent", cwd=clone.clone)
    done = gate(clone, "check")
    assert f"files changed between {first} and {last} (HEAD)" in done.stdout
    git("branch", "-q", "-m", "main", "trunk", cwd=clone.clone)
    try:
        for command in ("check", "run"):
            done = gate(clone, command)
            assert done.returncode == 3
            assert "there is no branch main or master to compare with, here or on a remote\n" in done.stderr
            assert "  next: Name the commit before your change" in done.stderr
    finally:
        git("branch", "-q", "-m", "trunk", "main", cwd=clone.clone)
        git("remote", "remove", "origin", cwd=clone.clone)
