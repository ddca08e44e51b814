"""The files of an app at a commit: its folder, or the whole repository where the repository is one app."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from factory.apps import archive
from factory.apps.archive import CODE
from factory.apps.detection.detect import Detected, detect
from factory.apps.detection.draft import draft
from factory.apps.resolved import ResolvedApp, resolve
from factory.errors import InvalidInput, NotFound
from factory.model.app_paths import APPS, FOLDERS, AppPaths
from factory.policies import apps
from factory.policies.apps import FILE, App
from factory.policies.problems import document, parse
from factory.system import files, process
from factory.worktrees.person_clone import PersonClone


def names(paths: Iterable[str], known: AppPaths) -> list[str]:
    """Return the names of the apps that a commit with these paths has."""
    if known.root:
        return [known.root]
    return sorted({path.split("/")[1] for path in paths if path.startswith(APPS) and path.count("/") > 1})


def deployed(clone: PersonClone) -> list[str]:
    """Return the names of the apps of the checked-out commit that have environments; raises ``InvalidInput``."""
    return [name for name, app in apps.read(clone.matching(apps.PATH)).items() if app.environments]


def chosen(found: list[str], name: str | None) -> str:
    """Return the app with a name, or the only one; raises ``NotFound``, and ``InvalidInput`` if there are several."""
    if name is None and len(found) == 1:
        return found[0]
    if name is None and found:
        raise InvalidInput(f"there are {len(found)} apps: {', '.join(found)}", hint="Name one of them.")
    if name not in found:
        raise NotFound(f"there is no app {name}" if name else "there is no app", hint="See `factory app list`.")
    return name


def extract(
    repository: Path, commit: str, name: str, known: AppPaths, work: Path, *, env: Mapping[str, str]
) -> ResolvedApp:
    """Write an app's files at a commit below ``work/app``, and return the app with its defaults.

    Raises ``InvalidInput`` for an invalid ``app.yml``, and for what its files do not say.
    """
    tree = commit if known.root else f"{commit}:{known.below(name).rstrip('/')}"
    packed = process.run(["git", "-C", str(repository), "archive", "--format=tar", tree], env=env)
    code = work / CODE
    files.remove_tree(work)
    archive.extract(packed.stdout, work)
    for path in [item.relative_to(code).as_posix() for item in files.below(code)] if known.root else ():
        if not known.owns(path):
            (code / path).unlink()
    return read(code, name)


def read(code: Path, name: str) -> ResolvedApp:
    """Return the app whose files are in a folder; raises ``InvalidInput``."""
    return _resolved(name, *_folder(code))


def _folder(code: Path) -> tuple[set[str], Callable[[str], bytes]]:
    """Return the paths of the files in a folder, and what reads one of them."""

    def content(path: str) -> bytes:
        return files.read_bytes(files.contained(code, path))

    return {item.relative_to(code).as_posix() for item in files.below(code)}, content


def committed(clone: PersonClone, name: str) -> ResolvedApp:
    """Return an app below ``apps/`` at the checked-out commit, with its defaults; raises ``InvalidInput``."""
    folder = FOLDERS.below(name)
    paths = {path.removeprefix(folder) for path in clone.paths() if path.startswith(folder)}

    def content(path: str) -> bytes:
        return clone.read(f"{folder}{path}")

    return _resolved(name, paths, content)


def environments(code: Path, name: str) -> tuple[str, ...]:
    """Return the environments that the file of an app in a folder names; raises ``InvalidInput``."""
    path = code / FILE
    return tuple(_app(name, files.read_bytes(files.contained(code, FILE))).environments) if path.is_file() else ()


def detected(code: Path) -> Detected:
    """Return what the files of an app in a folder say of how it is built and run."""
    paths, content = _folder(code)
    return detect(paths, content)


def drafted(name: str, paths: Collection[str], content: Callable[[str], bytes], found: Detected) -> bytes:
    """Return the first lines of the file of an app that has none, by what was detected.

    They are empty if its files say all themselves, and if what was detected does not complete them.
    """
    text = draft(found, None if unclear(name, paths, content) else _resolved(name, paths, content))

    def with_draft(path: str) -> bytes:
        return text if path == FILE else content(path)

    return b"" if text and unclear(name, {*paths, FILE}, with_draft) else text


def unclear(name: str, paths: Collection[str], content: Callable[[str], bytes]) -> str:
    """Return what an app's own files leave open of how it is built and run; empty if they say all."""
    try:
        _resolved(name, paths, content)
    except InvalidInput as error:
        return f"{error}. {error.hint}".strip()
    return ""


def _resolved(name: str, paths: Collection[str], content: Callable[[str], bytes]) -> ResolvedApp:
    return resolve(name, _app(name, content(FILE)) if FILE in paths else App(), paths, content)


def _app(name: str, text: bytes) -> App:
    found, problems = parse(apps.App, document(f"{name}/{FILE}", text))
    if found is None:
        raise InvalidInput(problems[0])
    return found
