"""What stands in the private homes of the agents."""

import base64
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from factory.agents.homes import DUMMY_KEY, HOMES, Setting
from factory.system import clock

SETTING = Setting(
    home=Path("/private/home"),
    worktree=Path("/private/tree"),
    base_url="http://127.0.0.1:18080/model",
    model='a "model" é',
    instructions="Be brief.",
    denied=("git push*", "sudo *", "rm *.py"),
)


@pytest.mark.parametrize("kind", HOMES)
def test_every_home_is_private_and_holds_the_instructions(kind: str) -> None:
    home = HOMES[kind](SETTING)
    assert home.env["HOME"] == "/private/home"
    assert all(value.startswith("/private/home") for name, value in home.env.items() if name.startswith("XDG_"))
    assert "PATH" not in home.env
    assert all(not Path(path).is_absolute() and ".." not in path for path in home.files)
    assert any(b"Be brief." in data for path, data in home.files.items() if path.endswith(".md"))
    assert home.mode


@pytest.mark.parametrize("kind", HOMES)
def test_every_home_names_the_model_at_the_base_url_with_a_key_that_is_none(kind: str) -> None:
    home = HOMES[kind](SETTING)
    whole = "\n".join((*home.env.values(), *(data.decode() for data in home.files.values())))
    assert SETTING.base_url in whole
    assert DUMMY_KEY in home.env.values() or DUMMY_KEY in home.env["OPENCODE_CONFIG_CONTENT"]
    assert "model" in whole


def test_codex_reads_its_configuration() -> None:
    home = HOMES["codex"](SETTING)
    config = tomllib.loads(home.files[".codex/config.toml"].decode())
    provider = config["model_providers"][config["model_provider"]]
    assert (config["model"], provider["base_url"], provider["wire_api"]) == (
        SETTING.model,
        SETTING.base_url,
        "responses",
    )
    assert home.env[provider["env_key"]] == DUMMY_KEY
    assert config["shell_environment_policy"]["exclude"] == [provider["env_key"]]
    assert config["permissions"][config["default_permissions"]]["filesystem"] == {":root": "write"}
    assert home.mode == f"permission-profile:{config['default_permissions']}"


def test_denied_commands_in_each_agents_words() -> None:
    rules = HOMES["codex"](SETTING).files[".codex/rules/default.rules"].decode()
    assert 'pattern=["git", "push"]' in rules
    assert 'pattern=["sudo"]' in rules
    assert "py" not in rules  # no prefix: Codex asks, or the sandbox holds
    claude = json.loads(HOMES["claude"](SETTING).files[".claude/settings.json"])
    assert {"Bash(git push*)", "Bash(rm *.py)"} <= set(claude["permissions"]["deny"])
    opencode = json.loads(HOMES["opencode"](SETTING).env["OPENCODE_CONFIG_CONTENT"])
    assert opencode["permission"]["bash"] == {"*": "ask", "git push*": "deny", "sudo *": "deny", "rm *.py": "deny"}


def test_the_worktrees_own_instructions_are_named_where_they_would_not_be_read() -> None:
    assert b"@/private/tree/AGENTS.md" in HOMES["claude"](SETTING).files[".claude/CLAUDE.md"]
    assert "/private/tree/AGENTS.md" in HOMES["opencode"](SETTING).env["OPENCODE_CONFIG_CONTENT"]


def test_a_plans_login_behind_the_door_is_signed_by_nobody_and_lasts() -> None:
    setting = replace(SETTING, subscription=True, model="")
    home = HOMES["codex"](setting)
    login = json.loads(home.files[".codex/auth.json"])
    header, claims, _ = (part + "=" * (-len(part) % 4) for part in login["tokens"]["id_token"].split("."))
    assert json.loads(base64.urlsafe_b64decode(header))["alg"] == "none"
    assert json.loads(base64.urlsafe_b64decode(claims))["exp"] > clock.now().timestamp() + 10**8
    assert login["tokens"]["account_id"] == DUMMY_KEY
    config = tomllib.loads(home.files[".codex/config.toml"].decode())
    provider = config["model_providers"][config["model_provider"]]
    assert provider["requires_openai_auth"] is True
    assert "env_key" not in provider
    assert (provider["base_url"], config["chatgpt_base_url"]) == (SETTING.base_url, SETTING.base_url)
    assert "model" not in config, "Codex chooses its own"
    env = HOMES["claude"](setting).env
    assert env["CLAUDE_CODE_OAUTH_TOKEN"] == DUMMY_KEY
    assert not {"ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL"} & set(env)
