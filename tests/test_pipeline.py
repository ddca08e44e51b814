"""The pipeline definition itself: how it starts the judge beside the code that is judged."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from factory.local_gitlab.definition import source_files
from factory.system import strict_yaml
from tests.servers import ROOT, git

TEXT = (ROOT / ".gitlab-ci.yml").read_text()
LOCKS = (
    "requirements.lock",
    "factory/defaults/requirements.lock",
    "requirements-uv.lock",
    "requirements-terraform.lock",
    "requirements-node.lock",
)
# Modules that Python or a tool of the judge would import from the folder in which it starts.
TRAPS = (
    "venv",
    "pip",
    "ensurepip",
    "sitecustomize",
    "usercustomize",
    "runpy",
    "encodings",
    "factory",
    "_distutils_hack",
)


def judge_lines() -> list[str]:
    """Return the lines of the scripts that run as the judge."""
    document = strict_yaml.compose(TEXT, source="ci")
    jobs = strict_yaml.load_mapping(source_files.without_references(TEXT, document), source="ci")
    found = []
    for name, job in jobs.items():
        if isinstance(job, dict) and name not in {".claim", "unit", "contract"}:
            lines = [*(job.get("before_script") or ()), *(job.get("script") or ())]
            found += [part for line in lines if isinstance(line, str) for part in line.splitlines()]
    return found


def test_the_judges_python_never_imports_from_the_checkout() -> None:
    lines = [line for line in judge_lines() if re.search(r'(?:python3?|"\$PY"|FACTORY_PYTHON[^ ]*) -', line)]
    lines = [line for line in lines if '--python "$PY"' not in line]  # uv only installs into it
    assert len(lines) > 8
    assert [line for line in lines if not re.search(r'(?:python3?|"\$PY"|python3\}") -I ', line)] == []


def test_no_judging_job_takes_artifacts_of_a_job_that_runs_the_changes_code() -> None:
    document = strict_yaml.compose(TEXT, source="ci")
    jobs = strict_yaml.load_mapping(source_files.without_references(TEXT, document), source="ci")

    def bases(name: str) -> set[str]:
        given = jobs[name].get("extends", [])
        named = [given] if isinstance(given, str) else given
        return {name, *named}.union(*(bases(base) for base in named))

    other = {"workflow", "stages", "variables", "default"}
    named = [name for name in jobs if not name.startswith(".") and name not in other]
    judging = {name for name in named if ".judge" in bases(name)}
    assert judging >= {"validate", "gate", "plan", "apply-production"}
    # `build` runs on main alone, and runs no code of an app.
    trusted = judging | {"build"}
    for name in judging:
        needs = next((jobs[base]["needs"] for base in (name, *bases(name)) if "needs" in jobs[base]), None)
        assert needs is not None or name == "validate", "a job without needs takes every artifact of earlier stages"
        taken = [item if isinstance(item, str) else item["job"] for item in needs or [] if _takes(item)]
        assert set(taken) <= trusted, name
    assert jobs[".judge"]["variables"]["GIT_STRATEGY"] == "clone"


def test_a_change_is_compared_with_the_protected_branch_whatever_it_targets() -> None:
    lines = [line for line in judge_lines() if "gate check" in line]
    assert len(lines) == 2
    assert all('--base "$JUDGE_SHA" --target "$JUDGE_SHA"' in line for line in lines)
    assert "CI_MERGE_REQUEST_DIFF_BASE_SHA" not in TEXT


def test_a_server_that_does_not_answer_is_no_project_without_evidence() -> None:
    [asked] = [line for line in judge_lines() if "ls-remote origin refs/heads/factory/evidence" in line]
    assert asked == 'EVIDENCE="$(git ls-remote origin refs/heads/factory/evidence)"'
    assert "|| true" not in "\n".join(judge_lines())


def _takes(need: Any) -> bool:
    return isinstance(need, str) or bool(need.get("artifacts", True))


def test_the_judge_installs_by_hash_without_caches_or_the_checkouts_settings() -> None:
    lines = [line for line in judge_lines() if "pip" in line and "install" in line]
    assert len(lines) == 3
    for line in lines:
        assert "--require-hashes" in line
        assert "--no-cache" in line
        assert '-r "$LOCKS/' in line
        assert "uv" not in line.split("install")[0] or "--no-config" in line
    assert "cache:" not in TEXT


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_a_wheel_named_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "--only-binary :all:" in text
    assert set(re.findall(r"--no-binary (\S+)", text)) <= {"python-terraform"}
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.long
def test_a_hostile_checkout_replaces_nothing_of_the_judge(tmp_path: Path) -> None:
    code, mark = tmp_path / "code", tmp_path / "mark"
    git("clone", "-q", str(ROOT), str(code), cwd=tmp_path)
    trap = f"open({str(mark)!r}, 'a').write(__name__ + chr(10))\n"
    for name in TRAPS:
        (code / name).mkdir(exist_ok=True)
        (code / name / "__init__.py").write_text(trap)
        (code / name / "__main__.py").write_text(trap)
    for name in ("uv.toml", "pip.conf", ".pydistutils.cfg"):
        (code / name).write_text('no-cache = 7\nindex-url = "http://127.0.0.1:9/"\n[pip]\nrequire-hashes = false\n')
    document = strict_yaml.load_mapping(
        source_files.without_references(TEXT, strict_yaml.compose(TEXT, source="ci")), source="ci"
    )
    script = "\n".join(document[".judge"]["before_script"])
    head = git("rev-parse", "HEAD", cwd=code).stdout.strip()
    env = {key: value for key, value in os.environ.items() if key not in {"FACTORY_PYTHON", "VIRTUAL_ENV"}}
    env |= {"JUDGE_SHA": head, "HOME": str(tmp_path)}
    script += '\n"$PY" -I "$TOOLKIT" --version\n"$PY" -I -c "import python_terraform"\n'
    done = subprocess.run(["bash", "-euc", script], cwd=code, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+\.\d+", done.stdout, re.MULTILINE)
    assert not mark.exists(), mark.read_text()
