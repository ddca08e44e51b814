"""An app whose linter leaves SARIF, through ``factory gate run`` and the pipeline's commands, on a real repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory.operations.repository.starter import Layout, contents
from tests.instances import Instance
from tests.operations.repository.test_app_checks import WEB
from tests.operations.repository.test_app_tests import written
from tests.servers import git

APP = (
    "kind: command\nrun: [./serve]\nbuild: {files: [src]}\nchecks:\n"
    "  unit: {command: [sh, test.sh], coverage: lcov.info}\n"
    "  lint: {command: [python3, lint.py], report: lint.sarif}\n"
)
TEST = "printf 'SF:src/a.js\\nDA:1,1\\nDA:2,0\\nend_of_record\\n' > lcov.info\n"
SOURCE = "apps/web/src/a.js"


def company(folder: Path) -> Instance:
    """Return a repository of one app with an old finding, on the branch `change`."""
    policies = {path: bytes(data).decode() for path, data in contents(Layout()).items() if path.endswith(".yml")}
    named = "  security: {where: local, required: true}\n"
    gates = policies["policies/gates.yml"].replace(named, f"{named}  lint: {{where: local, required: true}}\n")
    found = {
        **policies,
        "policies/gates.yml": gates,
        **WEB,
        "apps/web/app.yml": APP,
        "apps/web/test.sh": TEST,
        ".gitignore": ".factory/\n",
    }
    clone = written(folder / "clone", found)
    git("init", "-q", "-b", "main", cwd=clone)
    git("add", "-A", cwd=clone)
    git("commit", "-qm", "Begin", cwd=clone)
    git("checkout", "-qb", "change", cwd=clone)
    return Instance(clone, folder / "home")


def commit(made: Instance, files: dict[str, str]) -> None:
    written(made.clone, files)
    git("add", "-A", cwd=made.clone)
    git("commit", "-qm", "Change it", cwd=made.clone)


def judged(made: Instance, *arguments: str) -> dict[str, Any]:
    path = made.clone / ".factory/verdict/verdict.json"
    path.unlink(missing_ok=True)
    done = made.run("gate", "run", *arguments, check=False)
    assert path.exists(), done.stdout + done.stderr
    return {item["gate"]: item for item in json.loads(path.read_bytes())["gates"]}


def rules(verdict: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(item["rule"], item["path"], item["line"]) for item in verdict["findings"]]


@pytest.mark.long
def test_only_new_findings_block_a_change(tmp_path: Path) -> None:
    made = company(tmp_path)
    shown = made.run("app", "show", "web").stdout
    assert "python3 lint.py, which leaves lint.sarif" in shown
    commit(made, {SOURCE: "let a = 2\nvar b = 2\n"})
    verdict = judged(made, "--base", "main")
    assert verdict["lint"]["result"] == "passed", verdict["lint"]
    assert "compared with those before the change, which had 1 of them" in verdict["lint"]["flags"][0]["message"]
    assert "unit.uncovered" not in [rule for rule, _, _ in rules(verdict["unit"])]

    commit(made, {SOURCE: "let a = 2\nlet d = 4\nvar b = 2\nvar c = 3\n"})
    verdict = judged(made, "--base", "main")
    assert rules(verdict["lint"]) == [("lint.no-var", SOURCE, 4)]
    assert "unit.uncovered" in [rule for rule, _, _ in rules(verdict["unit"])]
    assert made.run("gate", "check", "--base", "main", check=False).returncode == 0
    made.run("app", "test", ".factory/claims/unit", check=False)
    assert rules(judged(made, "--where", "pipeline")["lint"]) == [("lint.no-var", SOURCE, 4)]

    commit(made, {"apps/web/lint.py": "print('no report')\n"})
    verdict = judged(made, "--base", "main")
    assert rules(verdict["lint"]) == [("lint.not-run", "apps/web", 0)]
    assert "left no lint.sarif" in verdict["lint"]["findings"][0]["message"]
