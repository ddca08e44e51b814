"""Loads the settings of one run. Precedence: flag, environment variable, file, default; each value names its source."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import InvalidInput, OutsideRepository
from factory.system import files, strict_yaml

# `factory connect` writes this file into the instance's folder: the project's URL and its accounts, no secret.
CONNECTION = "connection.json"
DEFAULTS = {"instance": "default", "gitlab_url": "", "project": "factory/control", "agent": "", "tier": "premium"}
# The folder of apps' environments, where it is not in the user's cache: jobs of the loopback GitLab share one.
ENVIRONMENTS = "FACTORY_ENVIRONMENTS"
_SECTION = '[factory "'
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True)
class Setting:
    """A value and its source: ``default``, a file's path, the name of an environment variable, or ``flag``."""

    value: str
    source: str


@dataclass(frozen=True)
class Settings:
    """All settings of one run.

    ``clone`` is the checkout of the control repository, ``owner`` the clone that a linked worktree belongs to, else the
    same; the clone's instances are its worktrees' too. ``state`` is the instance's folder, ``cache`` a folder that you
    may delete at any time.
    """

    clone: Path
    owner: Path
    state: Path
    cache: Path
    values: Mapping[str, Setting]

    def __getitem__(self, name: str) -> str:
        return self.values[name].value

    @property
    def embedded(self) -> bool:
        """Tell whether this run uses the loopback servers."""
        return not self["gitlab_url"]


def load(environment: Mapping[str, str], *, cwd: Path, flags: Mapping[str, str | None]) -> Settings:
    """Return the settings; raises ``InvalidInput`` for an unknown key or if ``cwd`` is not in a control repository."""
    home = Path(environment.get("HOME") or "/")
    clone = find_clone(cwd)
    values = {name: Setting(value, "default") for name, value in DEFAULTS.items()}
    path = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "factory" / "config.yml"
    if path.exists():
        for name, value in strict_yaml.load_mapping(files.read_text(path), source=str(path)).items():
            if name not in DEFAULTS:
                raise InvalidInput(f"{path}: unknown setting {name!r}; valid settings: {', '.join(DEFAULTS)}")
            values[name] = Setting(str(value), str(path))
    for name in DEFAULTS:
        variable = f"FACTORY_{name.upper()}"
        if environment.get(variable):
            values[name] = Setting(environment[variable], variable)
        flag = flags.get(name)
        if flag:
            values[name] = Setting(flag, "flag")
    instance = values["instance"].value
    if not instance or not set(instance) <= _NAME:
        raise InvalidInput(
            f"invalid instance name {instance!r}: only lower-case letters, digits and hyphens are allowed"
        )
    owner = owner_of(clone)
    digest = hashlib.sha256(str(owner).encode()).hexdigest()[:12]
    cache = cache_home(environment)
    state = state_home(environment) / digest / instance
    for name, value in connection(state).items():
        if name in DEFAULTS and values[name].source == "default":
            values[name] = Setting(str(value), str(state / CONNECTION))
    return Settings(clone, owner, state, cache, values)


def state_home(environment: Mapping[str, str]) -> Path:
    """Return the folder of all state of this user (XDG Base Directory Specification)."""
    home = Path(environment.get("HOME") or "/")
    return Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state") / "factory"


def cache_home(environment: Mapping[str, str]) -> Path:
    """Return the folder of this user's caches, which may be deleted at any time (XDG Base Directory Specification)."""
    home = Path(environment.get("HOME") or "/")
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "factory"


def environments(environment: Mapping[str, str]) -> Path:
    """Return the folder of the environments in which apps' tests run."""
    named = environment.get(ENVIRONMENTS)
    return Path(named) if named else cache_home(environment) / "environments"


def connection(state: Path) -> Mapping[str, object]:
    """Return the content of an instance's ``connection.json``; empty if the instance was never connected."""
    path = state / CONNECTION
    found: Mapping[str, object] = json.loads(files.read_text(path)) if path.exists() else {}
    return found


def owner_of(clone: Path) -> Path:
    """Return the clone of a linked worktree (gitrepository-layout(5): commondir), or the clone itself."""
    link = clone / ".git"
    if not link.is_file():
        return clone
    folder = clone / files.read_text(link).removeprefix("gitdir:").strip()
    common = folder / "commondir"
    return (folder / files.read_text(common).strip()).resolve().parent if common.is_file() else clone


def _connected(clone: Path) -> bool:
    """Return whether `factory up` or `connect` named a remote in a clone, whatever branch is checked out."""
    config = owner_of(clone) / ".git" / "config"
    return config.is_file() and any(line.startswith(_SECTION) for line in files.read_text(config).splitlines())


def find_clone(cwd: Path) -> Path:
    """Return the control repository that contains ``cwd``; raises ``OutsideRepository``."""
    for folder in (cwd.resolve(), *cwd.resolve().parents):
        if (folder / ".git").exists() and ((folder / "policies").is_dir() or _connected(folder)):
            return folder
    raise OutsideRepository(cwd)
