"""Lists the files of the apps in a checkout."""

from collections.abc import Mapping
from pathlib import Path

from factory.model.app_paths import AppPaths
from factory.system import process

_LISTED = ("--cached", "--others", "--exclude-standard")


def present(folder: Path, apps: AppPaths, *, env: Mapping[str, str]) -> dict[str, Path]:
    """Return the apps' files by path, sorted, without links; raises ``ToolFailed``.

    Where the repository is the app, its folder may hold environments and builds too, so git names the files that it
    does not ignore.
    """
    if apps.root:
        listed = process.run(["git", "ls-files", "-z", *_LISTED], cwd=folder, env=env).text.split("\0")
        paths = [folder / name for name in listed if name and apps.owns(name)]
    else:
        paths = list(folder.glob(f"{apps.folder}**/*"))
    found = {path.relative_to(folder).as_posix(): path for path in paths if path.is_file() and not path.is_symlink()}
    return dict(sorted(found.items()))
