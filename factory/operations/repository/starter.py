"""The files that the factory writes into a repository: policies, the pipeline, Terraform, and the toolkit's wheel."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from factory.errors import Conflict
from factory.operations.repository import app_detection, pipeline_template, toolkit_wheel
from factory.operations.repository.app_detection import PIPELINE, DetectedApp
from factory.system import defaults, templates
from factory.terraform.stacks import LIVE

# Not below `factory/`: those branches are the factory's own, and the agents' rules apply to them.
BRANCH = "init-factory"
TOOLKIT = ".gitlab/factory"
AGENTS, README = "AGENTS.md", "README.md"
# Wraps the repository's own definition of pipelines.
CHILD = f"{TOOLKIT}/child.yml"
ZONE = "zone.tf"
# The file that says that a repository has infrastructure: the root of `deploy` in policies/environments.yml.
_ROOT = f"{LIVE}/production/main.tf"
_FOLDER = "repository"
_LOCKS = ("requirements.lock", "requirements-uv.lock")
_POLICIES = ("gates.yml", "gitlab.yml", "scope.yml")
# Addresses of states from before the modules, which a new repository has none of.
_MOVED = "moved.tf"


@dataclass(frozen=True)
class Layout:
    """What a repository is: one app at its root, or without ``app`` a company, whose apps are below ``apps/``.

    ``pipeline`` tells whether it has a GitLab pipeline of its own, ``infrastructure`` whether it has Terraform's roots.
    """

    app: DetectedApp | None = None
    pipeline: bool = False
    infrastructure: bool = False


def layout_of(paths: Collection[str], read: Callable[[str], bytes], *, folder: str) -> Layout:
    """Return the layout of a repository with these files, as its own files name it; ``folder`` is its name."""
    app = app_detection.configured(paths, read, folder=folder)
    return Layout(app, PIPELINE in paths or CHILD in paths, app is None and _ROOT in paths)


def made(app: DetectedApp, paths: Collection[str]) -> dict[str, bytes]:
    """Return the new files by path, for an app's repository that has the files ``paths``.

    Raises ``Conflict`` if one exists already: then this is a control repository, or a folder has another meaning.
    """
    taken = [path for path in paths if PurePosixPath(path).parts[0] == "policies" or path.startswith(f"{TOOLKIT}/")]
    if taken:
        raise Conflict(
            f"{min(taken)} exists: this is a control repository already",
            hint="See what it decides with `factory policy show`.",
        )
    found = contents(Layout(app, app.pipeline)) | toolkit()
    return {path: found[path] for path in sorted(found) if path not in paths}


def company(name: str) -> dict[str, bytes]:
    """Return the files of a new repository of a company, whose apps will be below ``apps/``."""
    source = f"{_FOLDER}/{README}.j2"
    readme = templates.render(defaults.read(source).decode(), {"name": name}, source=source)
    own = {README: readme.encode(), ".gitignore": defaults.read(f"{_FOLDER}/gitignore")}
    return dict(sorted((contents(Layout()) | toolkit() | own).items()))


def toolkit() -> dict[str, bytes]:
    """Return the wheel of the installed factory."""
    return {f"{TOOLKIT}/{toolkit_wheel.name()}": toolkit_wheel.pack()}


def contents(layout: Layout, *, package: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the files but the wheel, and but what is the person's own from the start: README.md, the roots' zones.

    ``package`` has the files that the package carries, by their path below ``defaults``; a template that it lacks gives
    no file.
    """
    known = defaults.everything() if package is None else package
    sources = {f"policies/{name}": f"{_FOLDER}/{name}.j2" for name in _POLICIES}
    sources[AGENTS] = f"{_FOLDER}/{AGENTS}.j2"
    if layout.app:
        sources[app_detection.APPS] = f"{_FOLDER}/apps.yml.j2"
    app = replace(layout.app, pipeline=layout.pipeline) if layout.app else None
    values = {"app": app, "pipeline": layout.pipeline, "infrastructure": layout.infrastructure}
    found = {
        path: templates.render(known[source].decode(), values, source=source).encode()
        for path, source in sources.items()
        if source in known
    }
    pipeline = "pipeline-infrastructure.yml" if layout.infrastructure else "pipeline.yml"
    copied = {f"{TOOLKIT}/pipeline.yml": pipeline} | {f"{TOOLKIT}/{name}": name for name in _LOCKS}
    if layout.pipeline:
        copied[CHILD] = f"{_FOLDER}/child.yml"
    if layout.infrastructure:
        name = "requirements-terraform.lock"
        copied |= {path: path for path in known if _is_terraform(path)} | {f"{TOOLKIT}/{name}": name}
    found |= {path: known[source] for path, source in copied.items() if source in known}
    if layout.pipeline:
        found[f"{TOOLKIT}/pipeline.yml"] = pipeline_template.with_own_pipeline(found[f"{TOOLKIT}/pipeline.yml"])
    return found


def _is_terraform(path: str) -> bool:
    return path.startswith("terraform/") and PurePosixPath(path).name not in {ZONE, _MOVED}
