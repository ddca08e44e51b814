"""Packs the files of a release as one archive, and unpacks it: equal files give equal bytes (GNU tar in gzip).

Entries are sorted, and have no times and no owners. ``release.json`` comes first and says how the release runs, so that
the archive's digest binds that too.
"""

import gzip
import io
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from factory.errors import InvalidInput
from factory.system import data, files

MANIFEST = "release.json"
CODE, PACKAGES = "app", "packages"
_PLAIN, _PROGRAM, _FOLDER = 0o644, 0o755, 0o755
# Bytes and files of a release, whose archive is read whole into memory: the archive has no more bytes either.
LARGEST, _MOST = 512 * 2**20, 100_000


@dataclass(frozen=True)
class ReleaseManifest:
    """How a release runs, and what it needs of the machine: versions by program, and the architecture if it matters.

    ``run`` and ``variables`` may name $SOCKET, $PORT, $RELEASE and, with ``state``, $STATE_DIRECTORY; ``listen`` is
    ``socket`` or ``port``. ``migrate`` is the command that brings the state to this release's form; empty if none.
    ``secrets`` are the variables whose values the host has; ``database`` is ``postgresql`` if one of them names one.
    """

    app: str
    kind: str
    run: tuple[str, ...]
    variables: Mapping[str, str]
    health: str
    listen: str
    memory_mb: int
    processes: int
    needs: Mapping[str, str] = field(default_factory=dict)
    state: bool = False
    disk_mb: int = 1024
    migrate: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    database: str = ""


def file_name(app: str) -> str:
    """Return the name of the file with an app's release, as the pipeline's job `build` leaves it."""
    return f"{app}.tar.gz"


def pack(folder: Path, manifest: ReleaseManifest) -> bytes:
    """Return the archive of what ``folder`` has below ``app`` and ``packages``.

    Raises ``InvalidInput`` for a link that leads out of the release, a file that is neither a file, a link nor a
    folder, and a release that is too large.
    """
    buffer, size = io.BytesIO(), 0
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=6) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        _add(archive, _entry(MANIFEST, _PLAIN), data.write(manifest))
        for number, (name, path) in enumerate(_sorted(folder)):
            size += path.lstat().st_size
            _bound(max(size, buffer.tell()), number)
            if path.is_symlink():
                entry = _entry(name, _PROGRAM)
                entry.type, entry.linkname = tarfile.SYMTYPE, _inside(name, str(path.readlink()))
                archive.addfile(entry)
            elif path.is_file():
                program = bool(path.stat().st_mode & 0o100)
                _add(archive, _entry(name, _PROGRAM if program else _PLAIN), files.read_bytes(path))
            else:
                raise InvalidInput(f"{name} is neither a file nor a link, so no release can have it")
    _bound(buffer.tell(), 0)
    return buffer.getvalue()


def _bound(size: int, number: int) -> None:
    """Raise ``InvalidInput`` for a release with more than so many bytes or files."""
    if size > LARGEST or number > _MOST:
        raise InvalidInput(
            f"the release has more than {LARGEST >> 20} MiB or {_MOST} files",
            hint="Name what it needs in `build.files` of app.yml.",
        )


def read_manifest(archive: bytes) -> ReleaseManifest:
    """Return how a packed release runs; raises ``InvalidInput``."""
    with _opened(archive) as packed:
        first = packed.next()
        stream = packed.extractfile(first) if first is not None and first.name == MANIFEST else None
        if stream is None:
            raise InvalidInput(f"the archive does not begin with {MANIFEST}")
        return data.parse(ReleaseManifest, stream.read(1 << 20), source=MANIFEST)


def unpack(archive: bytes, folder: Path) -> ReleaseManifest:
    """Write the files of a release below a new folder; return how it runs. Raises ``InvalidInput``.

    Nothing is written outside of the folder, and nothing but files and links within the release.
    """
    manifest = read_manifest(archive)
    with _opened(archive) as packed:
        _write(packed, folder, "")
    return manifest


def extract(tar: bytes, folder: Path) -> None:
    """Write the files of a tar archive, as git makes it of a commit, to ``folder/app``; raises ``InvalidInput``."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as packed:
            _write(packed, folder, f"{CODE}/")
    except tarfile.TarError as error:
        raise InvalidInput(f"the archive is damaged: {error}") from error


def _write(packed: tarfile.TarFile, folder: Path, prefix: str) -> None:
    """Write entries below a folder, each with a prefix before its name.

    Python's own filter for archives is not in every version that the factory runs on (3.11.4 has it first).
    """
    size = 0
    for number, entry in enumerate(packed):
        size += entry.size
        _bound(size, number)  # before the entry is read: a small archive may unpack to anything
        name = f"{prefix}{entry.name}"
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise InvalidInput(f"the archive has the path {entry.name!r}")
        target = folder / path
        if any((folder / parent).is_symlink() for parent in path.parents):
            raise InvalidInput(f"the archive writes {entry.name!r} through a link")
        if entry.issym():
            link = _inside(name, entry.linkname)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(link)
        elif entry.isreg() and (stream := packed.extractfile(entry)) is not None:
            files.write_new(target, stream.read(), mode=_PROGRAM if entry.mode & 0o100 else _PLAIN)
        elif not (entry.isdir() and prefix):  # git names folders, a release does not
            raise InvalidInput(f"the archive has {entry.name!r}, which is neither a file nor a link")


def _opened(archive: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidInput(f"the archive is damaged: {error}") from error


def _sorted(folder: Path) -> Iterator[tuple[str, Path]]:
    found = []
    for top in (CODE, PACKAGES):
        for parent, folders, names in files.walk(folder / top) if (folder / top).is_dir() else ():
            folders[:] = [name for name in folders if name != "__pycache__"]
            found += [parent / name for name in names]
    yield from sorted(((path.relative_to(folder).as_posix(), path) for path in found), key=lambda item: item[0])


def _inside(name: str, target: str) -> str:
    """Return a link's target; raises ``InvalidInput`` if it is not in the release's own folder."""
    top = PurePosixPath(name).parts[0]
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if posixpath.isabs(target) or not reached.startswith(f"{top}/"):
        raise InvalidInput(f"the link {name} leads to {target}, out of the release")
    return target


def _entry(name: str, mode: int) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.mode = mode
    return made


def _add(archive: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
