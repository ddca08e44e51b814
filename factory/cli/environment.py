"""The only reader of the environment."""

import os
from collections.abc import Mapping

from factory.system.toolchain import names_secret

_GIVEN: dict[str, str] | None = None


def snapshot() -> Mapping[str, str]:
    """Return the environment as it was given, and leave neither git's variables nor tokens in the process's own.

    GitPython passes the process's environment on: git's variables would lead its calls elsewhere, and tokens are
    for the one call that needs them.
    """
    global _GIVEN  # noqa: PLW0603 - what was given is kept before the process's own is emptied
    if _GIVEN is None:
        _GIVEN = dict(os.environ)
        for name in _GIVEN:
            if name.startswith(("GIT_", "FACTORY_TOKEN_", "CI_", "TF_", "CLOUDFLARE_")) or names_secret(name):
                del os.environ[name]
    return {name: value for name, value in _GIVEN.items() if not name.startswith("GIT_")}
