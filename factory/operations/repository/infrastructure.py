"""Adds the infrastructure to a company's repository: Terraform's modules and roots, and the pipeline that deploys."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from factory.errors import Conflict, InvalidInput, Refused
from factory.model.app_paths import FOLDERS
from factory.operations.repository import adopt, app_source, starter, wheel_upgrade
from factory.operations.repository.starter import ZONE, Layout
from factory.operations.repository.wheel_upgrade import Merge
from factory.policies import apps as app_files
from factory.terraform.stacks import LIVE

BRANCH = "add-infrastructure"
STAGING, PRODUCTION = "staging", "production"
# The domain of a root's zone, as the package's roots name it.
_DOMAIN = re.compile(r'(?<=default     = ")[a-z.-]+\.test(?=")')
_DEPLOYS = "pipeline-infrastructure.yml"


def made(
    layout: Layout,
    paths: frozenset[str],
    read: Callable[[str], bytes],
    stacks: Collection[str],
    *,
    domains: Mapping[str, str],
    merge: Merge,
    adopted: bool = False,
) -> dict[str, bytes | None]:
    """Return the changed files by path of a repository with these files.

    ``stacks`` are those of policies/terraform.yml, ``domains`` has the domain of each root, whose zone is its own, or
    with ``adopted`` one that exists. Raises ``Refused`` for a
    repository that is an app or carries no wheel, ``Conflict`` if Terraform is there or a template conflicts with the
    person's changes, and ``InvalidInput``.
    """
    wheel = wheel_upgrade.carried(paths)
    if layout.app:
        raise Refused(
            f"this repository is the app {layout.app.name}; the factory deploys only apps below apps/",
            hint="Make a company's repository with `factory init DIR`, and bring the app there with `factory app add`.",
        )
    if there := [path for path in sorted(paths) if path.startswith("terraform/")]:
        raise Conflict(
            f"{there[0]} exists: this repository has Terraform already",
            hint="Change it there, or let it use a zone that exists with `factory infra adopt-zone NAME`.",
        )
    if not wheel:
        raise Refused("this repository carries no wheel of the factory", hint="Run `factory init DIR` for a new one.")
    if lacking := sorted(set(domains) - set(stacks)):
        raise InvalidInput(
            f"policies/terraform.yml names no stack {lacking[0]!r}",
            hint=f"The pipeline deploys {' and '.join(domains)}: name both there and in policies/environments.yml.",
        )
    # The carried wheel's own templates: its commands run in the jobs that they name.
    package = wheel_upgrade.package_of(read(wheel))
    if _DEPLOYS not in package:
        raise Refused("the wheel in this repository is too old", hint="Run `factory upgrade`, and merge its branch.")
    layout = replace(layout, pipeline=starter.CHILD in paths)  # one that came later waits for `factory upgrade`
    before = starter.contents(layout, package=package)
    after = starter.contents(replace(layout, infrastructure=True), package=package)
    after |= {
        f"{LIVE}/{name}/{ZONE}": _zone(package, name, "" if adopted else domain) for name, domain in domains.items()
    }
    changed = wheel_upgrade.merged(before, after, paths, read, merge=merge, what="the infrastructure")
    return changed | _hostnames(paths, read, domains)


def shared(domain: str) -> dict[str, str]:
    """Return the domain of each root in one zone that both use; raises ``InvalidInput``."""
    if not app_files.is_hostname(domain):
        raise InvalidInput(f"{domain!r} is not a domain like example.com")
    return {STAGING: domain, PRODUCTION: domain}


def domains_of(domain: str, staging: str) -> dict[str, str]:
    """Return the domain of each root; without ``staging`` it is ``<name>-staging``. Raises ``InvalidInput``."""
    first, _, rest = domain.partition(".")
    found = {STAGING: staging or f"{first}-staging.{rest}", PRODUCTION: domain}
    for name in found.values():
        if not app_files.is_hostname(name):
            raise InvalidInput(f"{name!r} is not a domain like example.com")
    if len(set(found.values())) < len(found):
        raise InvalidInput(
            f"{domain} cannot be the zone of two roots",
            hint="Both can share a zone that exists: use `factory infra adopt-zone NAME` in place of this command.",
        )
    return found


def _zone(package: Mapping[str, bytes], name: str, domain: str) -> bytes:
    """Return the file of a root's zone, which the root creates; without ``domain``, as the package has it."""
    text = package[f"{LIVE}/{name}/{ZONE}"].decode()
    return (_DOMAIN.sub(domain, text) if domain else text).encode()


def _hostnames(paths: frozenset[str], read: Callable[[str], bytes], domains: Mapping[str, str]) -> dict[str, bytes]:
    """Return a new `app.yml` for each app that can be built and has no environments: its name below the domains.

    Environments of one domain differ in the name.
    """
    one = len(set(domains.values())) == 1
    own = {name: f"apps/{name}/{app_files.FILE}" for name in app_source.names(paths, FOLDERS)}
    known = app_files.read({path: read(path) for path in own.values() if path in paths})
    lacking = [
        name for name in own if not (name in known and known[name].environments) and not _unclear(name, paths, read)
    ]
    added = {
        own[name]: adopt.app_file(
            {
                key: f"{name}-{key}.{domain}" if one and key != PRODUCTION else f"{name}.{domain}"
                for key, domain in domains.items()
            },
            read(own[name]) if own[name] in paths else b"",
        )
        for name in lacking
    }
    there = {path: read(path) for path in paths if app_files.PATH.fullmatch(path)}
    app_files.read(there | added)
    return added


def _unclear(name: str, paths: frozenset[str], read: Callable[[str], bytes]) -> str:
    folder = FOLDERS.below(name)
    own = {path.removeprefix(folder) for path in paths if path.startswith(folder)}
    return app_source.unclear(name, own, lambda path: read(f"{folder}{path}"))
