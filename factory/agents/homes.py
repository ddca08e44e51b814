"""Writes the configuration of each kind of agent into its private home.

Every home configures the same: the model's base URL with a stand-in key (the egress proxy adds the real credential), no
telemetry, no updates, no sandbox of the agent's own, permission requests to the client if the agent supports them,
and the instructions.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.system import clock

DUMMY_KEY = "stand-in"
_PROVIDER = "factory"
_PROFILE = "outer-sandbox"
_RETRIES = 2
# 2100-01-01: a login that expires sooner makes Codex ask for a new one.
_FAR = 4_102_444_800


_CODEX_OFF = (
    "apps",
    "browser_use",
    "computer_use",
    "goals",
    "hooks",
    "image_generation",
    "in_app_browser",
    "plugin_discovery_prefetch",
    "plugins",
    "remote_plugin",
    "skill_search",
    "tool_suggest",
    "unbounded_connection_retries",
)
_CODEX = (
    f'model_provider = "{_PROVIDER}"',
    f'default_permissions = "{_PROFILE}"',
    'approval_policy = "on-request"',
    'web_search = "disabled"',
    "check_for_update_on_startup = false",
    "analytics.enabled = false",
    "feedback.enabled = false",
    'otel.exporter = "none"',
    'history.persistence = "none"',
    'shell_environment_policy.exclude = ["FACTORY_MODEL_KEY"]',
    *(f"features.{name} = false" for name in _CODEX_OFF),
    f"permissions.{_PROFILE}.filesystem.':root' = \"write\"",
    f"permissions.{_PROFILE}.network.enabled = true",
)
_CODEX_KEY = ('env_key = "FACTORY_MODEL_KEY"',)
# As a provider of its own, not as ``openai_base_url``: Codex then stays with this address whatever its service answers
# about the workspace's address, and opens no WebSocket (tried with 0.166.0).
_CODEX_LOGIN = ("requires_openai_auth = true",)
_CODEX_PROVIDER = (
    f'name = "{_PROVIDER}"',
    'wire_api = "responses"',
    f"request_max_retries = {_RETRIES}",
    f"stream_max_retries = {_RETRIES}",
    "",
)


@dataclass(frozen=True)
class Setting:
    """An agent's folders, model and instructions.

    ``base_url`` ends with ``/v1`` for OpenAI's API, not for Anthropic's and Gemini's. With an empty ``model`` the agent
    uses its default. ``subscription``: the agent believes that it works on a plan. ``instructions`` are added to
    those of the worktree. ``denied`` are patterns of a command's words (``git push*``): the agent itself refuses such
    commands and tells its model, which saves a round trip but protects nothing.
    """

    home: Path
    worktree: Path
    base_url: str
    model: str
    instructions: str = ""
    denied: tuple[str, ...] = ()
    subscription: bool = False


@dataclass(frozen=True)
class Home:
    """The environment (without ``PATH``), the files by their path below the home, and the session mode to set.

    ``saving_seconds`` is how long the agent may take after its turn to save its session; 0 if it saves continuously.
    """

    env: Mapping[str, str]
    files: Mapping[str, bytes] = field(repr=False)
    mode: str
    saving_seconds: float = 1.0


def codex(setting: Setting) -> Home:
    """Return the home of Codex, which speaks ACP through codex-acp.

    Codex's own modes either sandbox commands, which fails inside another sandbox, or never ask. So the home defines a
    permission profile without a sandbox and with permission requests. A rejected request ends Codex's turn, unlike a
    denied command.
    """
    config = "\n".join(
        (
            *([f"model = {_toml(setting.model)}"] if setting.model else []),
            *_CODEX,
            # Codex asks here for a login's plugins, settings and workspaces; the proxy refuses these paths.
            *([f"chatgpt_base_url = {_toml(setting.base_url)}"] if setting.subscription else []),
            f"[model_providers.{_PROVIDER}]",
            f"base_url = {_toml(setting.base_url)}",
            *(_CODEX_LOGIN if setting.subscription else _CODEX_KEY),
            *_CODEX_PROVIDER,
            # Avoids Codex's question about trust: the settings in the worktree come from main and are frozen.
            f"[projects.{_toml(str(setting.worktree))}]",
            'trust_level = "trusted"',
            "",
        )
    )
    env = {
        **_common(setting.home),
        "CODEX_HOME": str(setting.home / ".codex"),
        **({} if setting.subscription else {"FACTORY_MODEL_KEY": DUMMY_KEY}),
        "NO_BROWSER": "1",
    }
    rules = "".join(
        f'prefix_rule(pattern={json.dumps(words)}, decision="forbidden", justification="denied by policy")\n'
        for words in map(_prefix, setting.denied)
        if words
    )
    files = {
        ".codex/config.toml": config.encode(),
        **_text(".codex/rules/default.rules", rules),
        **_text(".codex/AGENTS.md", setting.instructions),
        **({".codex/auth.json": dummy_login()} if setting.subscription else {}),
    }
    return Home(env, files, mode=f"permission-profile:{_PROFILE}", saving_seconds=0.0)


def claude(setting: Setting) -> Home:
    """Return the home of Claude Code, which speaks ACP by claude-agent-acp; ``CLAUDE.md`` imports ``AGENTS.md``."""
    permissions = {
        "defaultMode": "default",
        "disableBypassPermissionsMode": "disable",
        "deny": ["WebFetch", "WebSearch", *(f"Bash({pattern})" for pattern in setting.denied)],
    }
    settings = {"cleanupPeriodDays": 3650, "includeCoAuthoredBy": False, "permissions": permissions}
    models = ("ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL")
    env = {
        **_common(setting.home),
        "CLAUDE_CONFIG_DIR": str(setting.home / ".claude"),
        "ANTHROPIC_BASE_URL": setting.base_url,
        "CLAUDE_CODE_OAUTH_TOKEN" if setting.subscription else "ANTHROPIC_AUTH_TOKEN": DUMMY_KEY,
        **(dict.fromkeys(models, setting.model) if setting.model else {}),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1",
        "CLAUDE_CODE_MAX_RETRIES": str(_RETRIES),
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "NO_BROWSER": "1",
    }
    memory = f"{setting.instructions}\n\n@{setting.worktree / 'AGENTS.md'}\n"
    files = {".claude/settings.json": json.dumps(settings).encode(), ".claude/CLAUDE.md": memory.encode()}
    return Home(env, files, mode="default")


def opencode(setting: Setting) -> Home:
    """Return the home of opencode, which speaks ACP by ``opencode acp``; it needs a model's name.

    The project's configuration is disabled, because it is code that runs at start. That disables ``AGENTS.md`` too, so
    ``instructions`` lists it.
    """
    name = f"{_PROVIDER}/{setting.model}"
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": setting.base_url, "apiKey": DUMMY_KEY},
        "models": {setting.model: {}},
    }
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {_PROVIDER: provider},
        "enabled_providers": [_PROVIDER],
        "model": name,
        "small_model": name,
        "share": "disabled",
        "autoupdate": False,
        "instructions": [str(setting.worktree / "AGENTS.md")],
        "permission": {
            "edit": "ask",
            "bash": {"*": "ask", **dict.fromkeys(setting.denied, "deny")},
            "webfetch": "deny",
            "external_directory": "ask",
        },
        "experimental": {"continue_loop_on_deny": True},
    }
    env = {
        **_common(setting.home),
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
        "OPENCODE_PURE": "1",
    }
    # opencode installs its plugin package from npm at each start unless these files show that it is installed.
    lock = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
    files = {
        ".config/opencode/package-lock.json": json.dumps(lock).encode(),
        ".config/opencode/node_modules/.keep": b"",
        **_text(".config/opencode/AGENTS.md", setting.instructions),
    }
    return Home(env, files, mode="build", saving_seconds=0.0)


def gemini(setting: Setting) -> Home:
    """Return the home of Gemini CLI, which speaks ACP by ``gemini --acp``; it needs a model's name."""
    settings = {
        "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "model": {"name": setting.model},
    }
    env = {
        **_common(setting.home),
        "GEMINI_API_KEY": DUMMY_KEY,
        "GOOGLE_GEMINI_BASE_URL": setting.base_url,
        "GEMINI_MODEL": setting.model,
        "NO_BROWSER": "1",
    }
    files = {".gemini/settings.json": json.dumps(settings).encode(), **_text(".gemini/GEMINI.md", setting.instructions)}
    return Home(env, files, mode="default")


HOMES: Mapping[str, Callable[[Setting], Home]] = {
    "codex": codex,
    "claude": claude,
    "opencode": opencode,
    "gemini": gemini,
}


def dummy_login() -> bytes:
    """Return an ``auth.json`` with which Codex believes that it is logged in: its tokens are signed by nobody."""
    claims = {
        "email": "stand-in@localhost",
        "exp": _FAR,
        "https://api.openai.com/auth": {"chatgpt_account_id": DUMMY_KEY, "chatgpt_plan_type": "plus"},
    }
    token = ".".join((_part({"alg": "none", "typ": "JWT"}), _part(claims), _part({})))
    tokens = {"id_token": token, "access_token": token, "refresh_token": DUMMY_KEY, "account_id": DUMMY_KEY}
    login = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": clock.timestamp()}
    return json.dumps(login).encode()


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _common(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "DO_NOT_TRACK": "1",
    }


def _prefix(pattern: str) -> list[str]:
    """Return the words of a prefix pattern such as ``git push*``; empty for any other pattern."""
    words = pattern.removesuffix("*").split()
    return [] if any(mark in pattern.removesuffix("*") for mark in "*?[") else words


def _toml(text: str) -> str:
    """Return a TOML string; JSON's escapes are valid in TOML except surrogate pairs, hence ``ensure_ascii=False``."""
    return json.dumps(text, ensure_ascii=False)


def _text(path: str, text: str) -> dict[str, bytes]:
    return {path: text.encode()} if text else {}
