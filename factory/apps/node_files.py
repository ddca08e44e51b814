"""The files of a Node app, and what its package.json says. Pure."""

import json
from collections.abc import Mapping

from factory.errors import InvalidInput

PACKAGE, LOCK, MODULES = "package.json", "package-lock.json", "node_modules"
# The script that `npm init` writes.
_PLACEHOLDER = "no test specified"


def fields(package: bytes) -> Mapping[str, object]:
    """Return the fields of a package.json; raises ``InvalidInput`` if it is not JSON."""
    try:
        value = json.loads(package)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{PACKAGE} is not JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def scripts(package: bytes) -> Mapping[str, str]:
    """Return the scripts of a package.json by name; a test that `npm init` wrote is none. Raises as ``fields`` does."""
    found = fields(package).get("scripts")
    if not isinstance(found, dict):
        return {}
    named = {str(key): str(value) for key, value in found.items()}
    return {key: value for key, value in named.items() if key != "test" or _PLACEHOLDER not in value}


def program(word: str, lock: bytes) -> str:
    """Return how a release starts the program that a script names: node, or one that a package of npm's lock brings.

    Empty if it is neither, or of a package for development alone; ``lock`` is empty without a lock.
    """
    if word == "node":
        return word
    packages = fields(lock).get("packages") if lock else None
    for place, package in packages.items() if isinstance(packages, dict) else ():
        own = isinstance(package, dict) and not package.get("dev") and not place.rpartition(f"{MODULES}/")[0]
        named = package.get("bin") if own else None
        if isinstance(named, dict) and word in named:
            return f"{MODULES}/.bin/{word}"
    return ""
