"""The coding agents that are brought along: what is there is linked, what is not is named."""

import json
from pathlib import Path

import pytest

from factory.errors import MachineError
from factory.system.toolchain import Toolchain

ROOT = Path(__file__).parent.parent.parent
BUILDS = {
    "claude": "@anthropic-ai/claude-agent-sdk-linux-x64/claude",
    "claude-agent-acp": "@agentclientprotocol/claude-agent-acp/dist/index.js",
    "codex": "@openai/codex/bin/codex.js",
    "codex-acp": "@agentclientprotocol/codex-acp/dist/index.js",
    "opencode": "opencode-linux-x64-baseline/bin/opencode",
}


def test_installed_agents_stand_first_on_their_path_and_are_linked_once(tmp_path: Path) -> None:
    tools = Toolchain(tmp_path, "/bin", "/python/bin/python")
    for build in BUILDS.values():
        program = tools.agents / "node_modules" / build
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
    assert len(tools.install_agents({})) == len(BUILDS)
    assert tools.install_agents({}) == []
    assert tools.agents_path.startswith(f"{tools.agents / 'bin'}:")
    for name, build in BUILDS.items():
        assert (tools.agents / "bin" / name).resolve() == (tools.agents / "node_modules" / build).resolve()


def test_what_is_missing_and_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    tools = Toolchain(tmp_path, "/nonexistent", "/python/bin/python")
    assert tools.missing_agents() == sorted(BUILDS)
    with pytest.raises(MachineError):
        tools.install_agents({})


def test_opentofu_is_found_but_never_installed_and_terraform_never_stands_in(tmp_path: Path) -> None:
    tools = Toolchain(tmp_path / "tools", str(tmp_path), "/python/bin/python")
    (tmp_path / "terraform").write_text("#!/bin/sh\n")
    (tmp_path / "terraform").chmod(0o755)
    with pytest.raises(MachineError, match=r"policies/terraform\.yml names tofu, which is not installed"):
        tools.terraform("tofu")
    (tmp_path / "tofu").symlink_to(tmp_path / "terraform")
    assert tools.terraform("tofu") == str(tmp_path / "tofu")
    assert tools.terraform() == str(tmp_path / "terraform")


def test_agents_are_pinned_without_naming_a_registry() -> None:
    lock = json.loads((ROOT / ".tools/agents/package-lock.json").read_text())
    wanted = json.loads((ROOT / ".tools/agents/package.json").read_text())
    versions = {**wanted["dependencies"], **wanted["optionalDependencies"]}
    for name, version in versions.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert not any("resolved" in package for package in lock["packages"].values())
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_terraform_is_installed_only_if_asked_for(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "node"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    tools = Toolchain(tmp_path / "tools", str(programs), "/python/bin/python")
    there = tools.tools / "node_modules/gitlab-ci-local/dist/index.js"
    there.parent.mkdir(parents=True)
    there.touch()
    assert tools.install({}, terraform=False) == []
    with pytest.raises(MachineError, match="uv is not installed"):
        tools.install({})
