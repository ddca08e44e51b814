"""The variables that say how a runner checks out the code (docs: Configure runners, Git strategy and below)."""

from collections.abc import Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput

# The runner has a new folder for each job, so `fetch` does what `clone` does, and there is nothing to clean.
_VALUES: Mapping[str, tuple[str, ...]] = {
    "GIT_STRATEGY": ("clone", "fetch", "none", "empty"),
    "GIT_CHECKOUT": ("true", "false"),
    "GIT_SUBMODULE_STRATEGY": ("none",),
}
_REFUSED = ("GIT_CLONE_PATH", "GIT_CLONE_EXTRA_FLAGS", "GIT_FETCH_EXTRA_FLAGS")
_DEPTH = "GIT_DEPTH"


@dataclass(frozen=True)
class Checkout:
    """Whether a job fetches its commit and writes its files, and how many commits it fetches: 0 for all."""

    fetch: bool
    files: bool
    depth: int


def problem(name: str, value: str) -> str | None:
    """Return why a variable's value is not honoured, or ``None``; an empty value is the default."""
    if not value:
        return None
    if name in _REFUSED:
        return "is not supported by the loopback GitLab"
    if name == _DEPTH and not (value.isascii() and value.isdigit()):
        return f"has the value {value!r}, which is no number of commits"
    if name in _VALUES and value not in _VALUES[name]:
        return f"has the value {value!r}, which is not supported: {', '.join(_VALUES[name])}"
    return None


def written_problem(name: str, value: str) -> str | None:
    """Return why a value in a definition is not honoured; one that names other variables is judged in the job."""
    return None if "$" in value and name not in _REFUSED else problem(name, value)


def of(variables: Mapping[str, str]) -> Checkout:
    """Return the checkout that a job's variables ask for; raises ``InvalidInput`` for a value that is not honoured."""
    for name in (*_VALUES, *_REFUSED, _DEPTH):
        if words := problem(name, variables.get(name, "")):
            raise InvalidInput(f"{name} {words}")
    fetch = variables.get("GIT_STRATEGY") not in {"none", "empty"}
    return Checkout(fetch, fetch and variables.get("GIT_CHECKOUT") != "false", int(variables.get(_DEPTH) or 0))
