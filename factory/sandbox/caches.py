"""Packages that are on the machine, for installs behind the door: read where they are, written apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.system import files

# Of npm's cache, what is only read once it is there; the rest npm writes anew.
_NPM_READ = ("content-v2", "index-v5")


@dataclass(frozen=True)
class Caches:
    """What to add to a launch: variables to its environment, folders to those that it may read."""

    env: Mapping[str, str]
    readable: tuple[Path, ...]


def offer(own: Path, *, wheels: Path | None = None, npm: Path | None = None, network: bool = False) -> Caches:
    """Return what lets pip install from the folder ``wheels`` and npm from its cache ``npm``.

    ``own`` is a folder that the launch may write: what the programs keep goes there. Without ``network`` neither asks
    an index, so a package that is not there fails at once.
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
        mine = files.private_folder(own / "npm" / "_cacache")
        for name in _NPM_READ:
            link = mine / name
            if (npm / "_cacache" / name).is_dir() and not link.is_symlink():
                link.symlink_to(npm / "_cacache" / name)
        readable.append(npm / "_cacache")
    return Caches(env, tuple(readable))
