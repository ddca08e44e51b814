"""The files that bring an existing repository under the factory: policies, the pipeline, and the toolkit's wheel."""

from collections.abc import Callable, Collection
from pathlib import PurePosixPath

from factory.errors import Conflict
from factory.operations.repository import pipeline_template, toolkit_wheel
from factory.operations.repository.app_detection import DetectedApp
from factory.system import defaults, templates

# Not below `factory/`: those branches are the factory's own, and the agents' rules apply to them.
BRANCH = "init-factory"
TOOLKIT = ".gitlab/factory"
AGENTS = "AGENTS.md"
# Wraps the repository's own definition of pipelines.
CHILD = "child.yml"
_LOCKS = ("requirements.lock", "requirements-uv.lock")
_POLICIES = ("apps.yml.j2", "gates.yml.j2", "gitlab.yml", "scope.yml")


def made(app: DetectedApp, paths: Collection[str]) -> dict[str, bytes]:
    """Return the new files by path, for a repository that has the files ``paths``.

    Raises ``Conflict`` if one exists already: then this is a control repository, or a folder has another meaning.
    """
    taken = [path for path in paths if PurePosixPath(path).parts[0] == "policies" or path.startswith(f"{TOOLKIT}/")]
    if taken:
        raise Conflict(
            f"{min(taken)} exists: this is a control repository already",
            hint="See what it decides with `factory policy show`.",
        )
    found = contents(app) | {f"{TOOLKIT}/{toolkit_wheel.name()}": toolkit_wheel.pack()}
    return {path: found[path] for path in sorted(found) if path not in paths}


def contents(app: DetectedApp, *, template: Callable[[str], bytes] = defaults.read) -> dict[str, bytes]:
    """Return the files but the wheel; ``template`` reads a file of the package by its path below ``defaults``."""
    here = {f"policies/{name.removesuffix('.j2')}": f"here/{name}" for name in _POLICIES}
    here[AGENTS] = f"here/{AGENTS}.j2"
    found = {path: _rendered(template(source), app, source) for path, source in here.items()}
    found[f"{TOOLKIT}/pipeline.yml"] = template("pipeline.yml")
    if app.pipeline:
        found[f"{TOOLKIT}/pipeline.yml"] = pipeline_template.with_own_pipeline(template("pipeline.yml"))
        found[f"{TOOLKIT}/{CHILD}"] = template(f"here/{CHILD}")
    return found | {f"{TOOLKIT}/{name}": template(name) for name in _LOCKS}


def _rendered(text: bytes, app: DetectedApp, source: str) -> bytes:
    return templates.render(text.decode(), {"app": app}, source=source).encode()
