"""Lets pip and npm in the sandbox install packages from the machine's caches, which stay read-only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.system import files

# The folders of npm's cache whose entries never change; npm creates the rest again.
_NPM_READ = ("content-v2", "index-v5")


@dataclass(frozen=True)
class Caches:
    """Additions to a launch: environment variables and readable folders."""

    env: Mapping[str, str]
    readable: tuple[Path, ...]


def offer(own: Path, *, wheels: Path | None = None, npm: Path | None = None, network: bool = False) -> Caches:
    """Return what a launch needs so that pip installs from the folder ``wheels`` and npm from its cache ``npm``.

    ``own`` is a folder that the launch may write; pip and npm keep their caches there. Without ``network`` neither
    queries a package index, so the install of a missing package fails at once.
    """
    env: dict[str, str] = {"PIP_CACHE_DIR": str(own / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env["npm_config_cache"] = str(own / "npm")
    readable: list[Path] = []
    if not network:
        env |= {"PIP_NO_INDEX": "1", "npm_config_offline": "true"}
    if wheels is not None:
        env["PIP_FIND_LINKS"] = str(wheels)
        readable.append(wheels)
    if npm is not None:
        own_cache = files.private_folder(own / "npm" / "_cacache")
        for name in _NPM_READ:
            link = own_cache / name
            if (npm / "_cacache" / name).is_dir() and not link.is_symlink():
                link.symlink_to(npm / "_cacache" / name)
        readable.append(npm / "_cacache")
    return Caches(env, tuple(readable))
