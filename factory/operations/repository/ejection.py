"""Takes the factory out of a repository: what remains builds and deploys with plain GitLab and Terraform."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

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
_SOURCE = "factory/__init__.py"
_FOLDERS = ("factory/", "scripts/", "tests/", ".ci/", ".tools/", f"{TOOLKIT}/")
_FILES = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-uv.lock", "requirements-node.lock")


@dataclass(frozen=True)
class _Root:
    """A root of terraform/live as the pipeline has it: its apps, the value of its variable, and the root before it."""

    name: str
    apps: tuple[str, ...]
    variable: str
    previous: str


def made(paths: Collection[str], apps: Mapping[str, App], stacks: Mapping[str, StackRule]) -> dict[str, bytes | None]:
    """Return the changed files by path (``None`` deletes one) of a repository that has the files ``paths``.

    ``stacks`` are those of policies/terraform.yml. A repository without roots of them keeps its own pipeline. Raises
    ``Refused`` if the repository has no factory.
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
        text = templates.render(
            defaults.read(_TEMPLATE).decode(), {"stacks": roots, "apps": sorted(apps)}, source=_TEMPLATE
        )
        changes |= {PIPELINE: text.encode(), _TERRAFORM_LOCK: defaults.read(_TERRAFORM_LOCK)}
    elif source:
        changes[PIPELINE] = None
    return changes


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
