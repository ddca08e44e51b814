"""`factory policy` by the real command line: its output and exit codes."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli import command_line
from tests.servers import ROOT, LocalGitlab, git

ZONE = {"address": "a.b", "type": "cloudflare_zone", "change": {"actions": ["delete"]}}
DESTROY = json.dumps({"format_version": "1.2", "resource_changes": [ZONE]})


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "policies", tmp_path / "judge/policies")
    return tmp_path / "judge"


def call(*arguments: str, judge: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": str(judge), **env}
    return command_line.run(["policy", *arguments], cwd=judge, env=kept)


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def edit(judge: Path, name: str, old: str, new: str) -> None:
    path = judge / "policies" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_check_shows_digests_and_all_errors(judge: Path) -> None:
    done = call("check", judge=judge)
    assert done.returncode == 0, done.stderr
    assert "policies/scope.yml" in done.stdout
    assert parsed(call("check", "--json", judge=judge))["cases"] >= 20
    edit(judge, "scope.yml", "max_files", "max_fils")
    edit(judge, "budgets.yml", "attempts: 4", "attempts: 0")
    done = call("check", judge=judge)
    assert done.returncode == 3
    assert "max_fils: no such key; did you mean max_files?" in done.stdout
    assert "policies/budgets.yml:3: attempts: 0 is out of range" in done.stdout
    assert len(parsed(call("check", "--json", judge=judge))["problems"]) == 3


def test_explain_paths(judge: Path) -> None:
    done = call("explain", "apps/x.py", judge=judge)
    assert done.returncode == 0, done.stderr
    assert "scope.allowed  policies/scope.yml:2" in done.stdout
    done = call("explain", "specs/hello.md", "--json", judge=judge)
    assert done.returncode == 5
    found = parsed(done)
    assert found["allowed"] is False
    assert found["rulings"][0]["rule"] == "scope.protected"
    assert found["rulings"][0]["where"].startswith("policies/scope.yml:")
    assert found["rulings"][0]["policy"] == found["policy"]
    assert found["needed"]["judge_changed"] is True
    assert call("explain", "specs/hello.md", "--as", "operator", judge=judge).returncode == 0
    assert call("explain", judge=judge).returncode == 2
    assert call("explain", "a", "--mr", "1", judge=judge).returncode == 2


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        ('{"format_version": "1.2"}', 0, "plan.size"),
        ("{}", 5, "plan.unreadable"),
        ("[", 5, "plan.unreadable"),
        ("[]", 5, "plan.unreadable"),
        ('{"format_version": "1.2", "resource_changes": [{}]}', 5, "plan.unreadable"),
        (DESTROY, 5, "plan.protected"),
    ],
)
def test_explain_a_plan(judge: Path, text: str, code: int, rule: str) -> None:
    (judge / "plan.json").write_text(text)
    done = call("explain", "--plan", "plan.json", "--json", judge=judge)
    assert done.returncode == code, done.stderr
    assert rule in {item["rule"] for item in parsed(done)["rulings"] if item["allowed"] is (code == 0)}


def test_cases_are_run_and_a_missing_case_is_a_failure(judge: Path) -> None:
    done = call("test", judge=judge)
    assert done.returncode == 0, done.stdout
    edit(judge, "terraform.yml", "protected: {types: [cloudflare_zone]", "protected: {types: []")
    done = call("test", judge=judge)
    assert done.returncode == 6
    assert "policies/cases/plan.yml:" in done.stdout
    assert "expected denied by plan.protected, got allowed by" in done.stdout
    assert not all(item["passed"] for item in parsed(call("test", "--json", judge=judge)))
    shutil.rmtree(judge / "policies/cases")
    done = call("test", judge=judge)
    assert done.returncode == 6
    assert "there are no cases" in done.stderr


def test_explain_a_merge_request(judge: Path, gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"specs/a.md": "one\n", "apps/old.py": "x = 1\n"})
    actions = [
        {"action": "update", "file_path": "specs/a.md", "content": "two\n"},
        {"action": "delete", "file_path": "apps/old.py"},
        {"action": "create", "file_path": "apps/new.py", "content": "y = 2\nz = 3\n"},
    ]
    project.commits.create({"branch": "w", "start_branch": "main", "commit_message": "more", "actions": actions})
    made = project.mergerequests.create({"source_branch": "w", "target_branch": "main", "title": "more"})
    git("init", "-q", cwd=judge)
    env = {
        "FACTORY_GITLAB_URL": gitlab_server.url,
        "FACTORY_PROJECT": project.path_with_namespace,
        "FACTORY_TOKEN_OPERATOR": gitlab_server.root_token,
        "XDG_STATE_HOME": str(judge / "state"),
    }
    done = call("explain", "--mr", f"!{made.iid}", "--json", judge=judge, **env)
    assert done.returncode == 0, done.stderr
    assert [item["rule"] for item in parsed(done)["rulings"]] == ["scope.person"]
    assert parsed(done)["needed"]["judge_changed"] is True
    done = call("explain", "--mr", str(made.iid), "--as-agent", "--json", judge=judge, **env)
    assert done.returncode == 5, done.stderr
    by_rule = {item["rule"]: item["facts"] for item in parsed(done)["rulings"]}
    assert by_rule["scope.protected"]["path"] == "specs/a.md"
    assert by_rule["scope.size"]["files"] == 3
    assert by_rule["scope.size"]["lines"] == 5


def test_an_absent_policy_is_shown_with_its_default(judge: Path) -> None:
    (judge / "policies/budgets.yml").unlink()
    rows = {row["name"]: row["default"] for row in parsed(call("show", "--json", judge=judge))}
    assert rows["budgets"]
    assert not rows["scope"]
    assert call("show", "budgets", judge=judge).stdout == (ROOT / "policies/budgets.yml").read_text()
    assert "policies/budgets.yml (default)" in call("check", judge=judge).stdout
    unknown = call("show", "budget", judge=judge)
    assert (unknown.returncode, "there is no policy 'budget'" in unknown.stderr) == (4, True), unknown.stderr
