"""The files that bring an existing repository under the factory: policies, the pipeline, and the toolkit's wheel."""

from collections.abc import Collection
from pathlib import PurePosixPath

from factory.errors import Conflict
from factory.operations.repository import toolkit_wheel
from factory.operations.repository.app_detection import DetectedApp
from factory.system import defaults, templates

# Not below `factory/`: those branches are the factory's own, and the agents' rules apply to them.
BRANCH = "init-factory"
TOOLKIT = ".gitlab/factory"
_LOCKS = ("requirements.lock", "requirements-uv.lock")
_POLICIES = ("apps.yml.j2", "gates.yml.j2", "gitlab.yml", "scope.yml")
AGENTS = "AGENTS.md"


def made(app: DetectedApp, paths: Collection[str]) -> dict[str, bytes]:
    """Return the new files by path, for a repository that has the files ``paths``.

    Raises ``Conflict`` if one exists already: then this is a control repository, or a folder has another meaning.
    """
    found = {f"policies/{name.removesuffix('.j2')}": _rendered(name, app) for name in _POLICIES}
    found[f"{TOOLKIT}/pipeline.yml"] = defaults.read("pipeline.yml")
    found |= {f"{TOOLKIT}/{name}": defaults.read(name) for name in _LOCKS}
    found[f"{TOOLKIT}/{toolkit_wheel.name()}"] = toolkit_wheel.pack()
    taken = [path for path in paths if PurePosixPath(path).parts[0] == "policies" or path.startswith(f"{TOOLKIT}/")]
    if taken:
        raise Conflict(
            f"{min(taken)} exists: this is a control repository already",
            hint="See what it decides with `factory policy show`.",
        )
    if AGENTS not in paths:
        found[AGENTS] = _rendered(f"{AGENTS}.j2", app)
    return dict(sorted(found.items()))


def _rendered(name: str, app: DetectedApp) -> bytes:
    path = f"here/{name}"
    return templates.render(defaults.read(path).decode(), {"app": app}, source=path).encode()
