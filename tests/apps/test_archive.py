"""A release as an archive: equal files give equal bytes, and none leads out of it."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from factory.apps import archive
from factory.apps.archive import ReleaseManifest
from factory.errors import InvalidInput
from factory.system import data

MANIFEST = ReleaseManifest("shop", "command", ("./run",), {"A": "$SOCKET"}, "/", "socket", 64, 8, {"machine": "x86_64"})


def release(folder: Path) -> Path:
    (folder / "app/sub").mkdir(parents=True)
    (folder / "app/run").write_text("#!/bin/sh\n")
    (folder / "app/run").chmod(0o700)
    (folder / "app/sub/data").write_text("data")
    (folder / "app/link").symlink_to("sub/data")
    (folder / "packages").mkdir()
    (folder / "packages/p.py").write_text("")
    return folder


def test_equal_files_give_equal_bytes_whenever_and_by_whomever_they_were_made(tmp_path: Path) -> None:
    one, two = release(tmp_path / "one"), release(tmp_path / "two")
    for number, path in enumerate(sorted(two.rglob("*"))):
        os.utime(path, (number, number), follow_symlinks=False)
    (two / "app/sub/data").chmod(0o600)
    (two / "app/__pycache__").mkdir()
    (two / "app/__pycache__/x.pyc").write_bytes(b"x")
    packed = archive.pack(one, MANIFEST)
    assert archive.pack(two, MANIFEST) == packed
    assert archive.read_manifest(packed) == MANIFEST
    assert archive.unpack(packed, tmp_path / "out") == MANIFEST
    assert os.access(tmp_path / "out/app/run", os.X_OK)
    assert (tmp_path / "out/app/link").read_text() == "data"
    assert (tmp_path / "out/packages/p.py").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "..", "../packages/p.py"])
def test_a_link_out_of_the_release_is_refused(tmp_path: Path, target: str) -> None:
    made = release(tmp_path / "one")
    (made / "app/bad").symlink_to(target)
    with pytest.raises(InvalidInput, match="out of the release"):
        archive.pack(made, MANIFEST)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    made = release(tmp_path / "one")
    os.mkfifo(made / "app/pipe")
    with pytest.raises(InvalidInput, match="neither a file nor a link"):
        archive.pack(made, MANIFEST)


def crafted(*entries: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        manifest = tarfile.TarInfo(archive.MANIFEST)
        content = data.write(MANIFEST)
        manifest.size = len(content)
        packed.addfile(manifest, io.BytesIO(content))
        for entry in entries:
            packed.addfile(entry, io.BytesIO(b"x" * entry.size))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../x")],
        [entry("/tmp/x")],
        [entry("app/l", tarfile.SYMTYPE, "/tmp")],
        [entry("app/l", tarfile.SYMTYPE, "../..")],
        [entry("app/d/l", tarfile.SYMTYPE, "../e"), entry("app/e"), entry("app/d/l/x")],
        [entry("app/l", tarfile.LNKTYPE, "app/x")],
        [entry("app/l", tarfile.CHRTYPE)],
        [entry("app/l", tarfile.DIRTYPE)],
    ],
)
def test_an_archive_writes_nothing_out_of_its_folder(tmp_path: Path, entries: list[tarfile.TarInfo]) -> None:
    with pytest.raises(InvalidInput):
        archive.unpack(crafted(*entries), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] in (["out"], [])


@pytest.mark.parametrize(
    "packed",
    [b"", b"no archive", gzip.compress(b"no tar"), crafted()[:60]],
    ids=["nothing", "no gzip", "no tar", "half"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, packed: bytes) -> None:
    with pytest.raises(InvalidInput):
        archive.unpack(packed, tmp_path / "out")


def test_a_small_archive_that_unpacks_to_more_than_a_release_may_have_is_refused(tmp_path: Path) -> None:
    """Nothing of the entry that is too large is read or written."""
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as stream:
        for name, size, content in ((archive.MANIFEST, None, data.write(MANIFEST)), ("app/zeros", 2**40, b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content) if size is None else size
            stream.write(entry.tobuf(tarfile.GNU_FORMAT))
            stream.write(content + b"\0" * (-len(content) % 512))
        stream.write(b"\0" * 2**20)
    with pytest.raises(InvalidInput, match="more than 512 MiB or 100000 files"):
        archive.unpack(bomb.getvalue(), tmp_path / "out")
    assert not (tmp_path / "out/app").exists()
