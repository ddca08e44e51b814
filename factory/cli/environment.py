"""The only reader of the environment."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from factory.system import process
from factory.system.toolchain import Toolchain

_GIVEN: dict[str, str] | None = None
_SECRETS = ("_API_KEY", "_AUTH_TOKEN", "_ACCESS_TOKEN", "_SECRET", "_SECRET_KEY", "_PASSWORD")
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "TERM", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def snapshot() -> Mapping[str, str]:
    """Return the environment as it was given, and leave neither git's variables nor tokens in the process's own.

    GitPython passes the process's environment on: git's variables would lead its calls elsewhere, and tokens are
    for the one call that needs them.
    """
    global _GIVEN  # noqa: PLW0603 - what was given is kept before the process's own is emptied
    if _GIVEN is None:
        _GIVEN = dict(os.environ)
        for name in _GIVEN:
            if name.startswith(("GIT_", "FACTORY_TOKEN_", "CI_", "TF_", "CLOUDFLARE_")) or is_secret(name):
                del os.environ[name]
    return {name: value for name, value in _GIVEN.items() if not name.startswith("GIT_")}


def is_secret(name: str) -> bool:
    """Tell whether a variable's name says that it holds a credential."""
    return name.endswith(_SECRETS)


def toolchain(environment: Mapping[str, str], root: Path) -> Toolchain:
    """Return where outside programs are found."""
    return Toolchain(root, environment.get("PATH", "/usr/local/bin:/usr/bin:/bin"), process.python())


def for_checkout() -> dict[str, str]:
    """Return the clean environment for looking at a checkout, which brings no programs of its own."""
    given = snapshot()
    return tool_env(given, toolchain(given, Path("/nonexistent")))


def readable() -> tuple[Path, ...]:
    """Return the folders that programs of ours need behind the launch door: package, interpreter and its packages."""
    return (Path(__file__).parents[1], Path(sys.prefix), Path(sys.base_prefix))


def tool_env(environment: Mapping[str, str], tools: Toolchain) -> dict[str, str]:
    """Return the clean environment that programs of ours get: no token, no configuration of the person."""
    passed = {name: environment[name] for name in _PASSED_ON if name in environment}
    return {
        **passed,
        "PATH": tools.search_path,
        "HOME": "/nonexistent",
        "LANG": environment.get("LANG", "C.UTF-8"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
