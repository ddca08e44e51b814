"""The order of a run's steps, and the changes of its clone."""

from pathlib import Path

import pytest

from factory.errors import InvalidInput, Refused
from factory.operations.prove import request, throwaway_clone
from factory.operations.prove.steps import STEPS
from tests.servers import ROOT, TOOL_ENV, git


def test_each_step_comes_after_those_that_it_needs() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for number, step in enumerate(STEPS):
        assert set(step.after) <= set(names[:number]), step.name


def test_variables_are_pairs() -> None:
    assert request.variables(("A=1", "B_C=x=y")) == {"A": "1", "B_C": "x=y"}
    for text in ("A", "=1", "A B=1"):
        with pytest.raises(InvalidInput, match="NAME=VALUE"):
            request.variables((text,))


def test_another_repository_is_refused(tmp_path: Path) -> None:
    throwaway_clone.require_source(ROOT)
    with pytest.raises(Refused, match="not a clone of the factory's source"):
        throwaway_clone.require_source(tmp_path)


@pytest.mark.parametrize("hostnames", [{}, {"staging": "s.example.net", "production": "p.example.net"}])
def test_the_clone_has_the_account_and_the_hostnames(tmp_path: Path, hostnames: dict[str, str]) -> None:
    source, clone = tmp_path / "source", tmp_path / "clone"
    for name in ("apps/hello/app.yml", "policies/scope.yml"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    (source / ".tools").mkdir()
    git("init", "-q", "-b", "work", cwd=source)
    git("add", "-A", cwd=source)
    git("commit", "-qm", "start", cwd=source)
    before = git("rev-parse", "HEAD", cwd=source).stdout
    throwaway_clone.make(source, clone, TOOL_ENV, bind="jane-factory", hostnames=hostnames)
    assert "agents: [jane-factory, factory-agent]" in (clone / "policies/scope.yml").read_text()
    app = clone / "apps/hello/app.yml"
    assert app.exists() is bool(hostnames)
    for name, host in hostnames.items():
        assert f"{name}: {{hostname: {host}}}" in app.read_text()
    assert git("status", "--porcelain", cwd=clone).stdout == ""
    assert git("branch", "--show-current", cwd=clone).stdout.strip() == "main"
    assert git("rev-parse", "HEAD", cwd=source).stdout == before
    assert throwaway_clone.head(source, TOOL_ENV) == before[:12]
    (source / "policies/scope.yml").write_text("changed")
    assert throwaway_clone.head(source, TOOL_ENV).endswith("uncommitted changes")
