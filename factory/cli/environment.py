"""Reads the process environment; no other module does."""

import os
from collections.abc import Mapping

from factory.system.toolchain import names_secret

_GIVEN: dict[str, str] | None = None


def snapshot() -> Mapping[str, str]:
    """Return the original environment without git's variables, and remove them and all secrets from ``os.environ``.

    GitPython passes ``os.environ`` to git, where git's variables could redirect calls and tokens would leak.
    """
    global _GIVEN  # noqa: PLW0603 - keeps the original values
    if _GIVEN is None:
        _GIVEN = dict(os.environ)
        for name in _GIVEN:
            if name.startswith(("GIT_", "FACTORY_TOKEN_", "CI_", "TF_", "CLOUDFLARE_")) or names_secret(name):
                del os.environ[name]
    return {name: value for name, value in _GIVEN.items() if not name.startswith("GIT_")}
