"""Takes the factory out of a repository: what remains builds and deploys with plain GitLab and Terraform."""

import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass

from factory.apps import build
from factory.apps.archive import CODE, MANIFEST, PACKAGES
from factory.apps.resolved import ResolvedApp
from factory.errors import Refused
from factory.operations.repository.app_detection import PIPELINE
from factory.operations.repository.starter import TOOLKIT
from factory.policies import apps as app_files
from factory.policies.apps import App
from factory.policies.terraform import StackRule
from factory.system import defaults, templates

BRANCH = "eject-factory"
_TEMPLATE = "eject/gitlab-ci.yml.j2"
_TERRAFORM_LOCK = "requirements-terraform.lock"
# What a repository with the factory's source has of it; a repository with a wheel has one folder.
_EXPORT = "--quiet --frozen --no-dev --no-emit-project --format requirements-txt"
_SOURCE = "factory/__init__.py"
_FOLDERS = ("factory/", "scripts/", "tests/", ".ci/", ".tools/", f"{TOOLKIT}/")
_FILES = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-uv.lock", "requirements-node.lock")


@dataclass(frozen=True)
class _Build:
    """How the pipeline builds an app: its name, and the lines of the script between the folder and the archive."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Root:
    """A root of terraform/live as the pipeline has it: its apps, the value of its variable, and the root before it."""

    name: str
    apps: tuple[str, ...]
    variable: str
    previous: str


def made(
    paths: Collection[str],
    apps: Mapping[str, App],
    stacks: Mapping[str, StackRule],
    resolve: Callable[[str], ResolvedApp],
) -> dict[str, bytes | None]:
    """Return the changed files by path (``None`` deletes one) of a repository that has the files ``paths``.

    ``stacks`` are those of policies/terraform.yml, ``resolve`` returns an app with its defaults. A repository without
    roots of them keeps its own pipeline. Raises ``Refused`` if the repository has no factory, ``InvalidInput`` if an
    app's files do not say how it is built.
    """
    source = _SOURCE in paths
    folders = _FOLDERS if source else (f"{TOOLKIT}/",)
    gone = [path for path in paths if path.startswith(folders) or (source and path in _FILES)]
    if not gone:
        raise Refused("this repository has no factory to take out", hint="Run this where `factory/` or the wheel is.")
    changes: dict[str, bytes | None] = dict.fromkeys(sorted(gone))
    rooted = {name: stack for name, stack in stacks.items() if f"terraform/live/{name}/main.tf" in paths}
    if rooted:
        roots = tuple(_roots(rooted, apps))
        built = [_build(resolve(name)) for name, app in sorted(apps.items()) if app.environments]
        text = templates.render(defaults.read(_TEMPLATE).decode(), {"stacks": roots, "apps": built}, source=_TEMPLATE)
        changes |= {PIPELINE: text.encode(), _TERRAFORM_LOCK: defaults.read(_TERRAFORM_LOCK)}
    elif source:
        changes[PIPELINE] = None
    return changes


def _build(app: ResolvedApp) -> _Build:
    """Return the plain commands for what `factory app build` does."""
    source, out = f"apps/{app.name}", f"build/{app.name}"
    lines = [f"mkdir -p {out}/{CODE} {out}/{PACKAGES}", f"printf '%s' {shlex.quote(_manifest(app))} > {out}/{MANIFEST}"]
    if app.lock == "uv.lock":
        lines.append(f"pip install --quiet uv && uv export --project {source} {_EXPORT} -o {out}/requirements.lock")
    if app.lock and app.kind == "python":
        lock = f"{out}/requirements.lock" if app.lock == "uv.lock" else f"{source}/{app.lock}"
        lines.append(f"pip install --quiet --require-hashes --only-binary :all: --target {out}/{PACKAGES} -r {lock}")
    elif app.lock:
        lines.append(f"(cd {source} && npm ci --ignore-scripts)")
    if app.build:
        path = f'PYTHONPATH="$CI_PROJECT_DIR/{out}/{PACKAGES}" ' if app.kind == "python" else ""
        lines.append(f"(cd {source} && {path}{shlex.join(app.build)})")
    lines += [
        f"(cd {source} && cp -R --parents {shlex.quote(name)} $CI_PROJECT_DIR/{out}/{CODE})" for name in app.files
    ]
    return _Build(app.name, tuple(lines))


def _manifest(app: ResolvedApp) -> str:
    return json.dumps(asdict(build.described(app)), separators=(",", ":"))


def _roots(stacks: Mapping[str, StackRule], apps: Mapping[str, App]) -> Iterator[_Root]:
    """Yield the roots, each after those that policy names in its `after`."""
    previous, waiting = "", dict(stacks)
    while waiting:
        name = next((name for name, stack in waiting.items() if not set(stack.after) & waiting.keys()), min(waiting))
        del waiting[name]
        carried = tuple(app for app, found in sorted(apps.items()) if name in found.environments)
        releases = {app: f"{app}-$CI_COMMIT_SHA" for app in carried}
        yield _Root(name, carried, app_files.variable(apps, name, releases), previous)
        previous = name
