"""The only reader of the environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from factory.system import process
from factory.system.toolchain import Toolchain

_PASSED_ON = ("LANG", "LC_ALL", "TZ", "TERM", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def snapshot() -> Mapping[str, str]:
    """Return the environment, and forget git's variables in it: they would lead our git calls elsewhere."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    return dict(os.environ)


def toolchain(environment: Mapping[str, str], root: Path) -> Toolchain:
    """Return where outside programs are found."""
    return Toolchain(root, environment.get("PATH", "/usr/local/bin:/usr/bin:/bin"), process.python())


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
