"""Files below an untrusted folder: links lead nowhere, pipes do not block, sizes are bounded."""

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from factory.errors import MachineError, NotFound, Refused
from factory.system import safe_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("s")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "file-link").symlink_to(tmp_path / "outside/secret")
    (folder / "inner-link").symlink_to("real")
    os.mkfifo(folder / "pipe")
    return folder


def test_what_is_written_is_read(root: Path) -> None:
    safe_path.write(root, root / "new/folder/a", b"one")
    safe_path.write(root, root / "new/folder/a", b"two")
    assert safe_path.read(root, root / "new/folder/a", limit=3) == b"two"
    assert [path.name for path in (root / "new/folder").iterdir()] == ["a"]


def test_a_program_stays_one(root: Path) -> None:
    (root / "tool").touch(mode=0o755)
    safe_path.write(root, root / "tool", b"#!")
    assert (root / "tool").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "path", ["link/x", "link/secret", "file-link", "inner-link/a", "pipe", "real", "../outside/secret"]
)
def test_nothing_else_is_touched(root: Path, path: str) -> None:
    with pytest.raises(Refused):
        safe_path.write(root, root / path, b"x")
    with pytest.raises(Refused):
        safe_path.read(root, root / path, limit=10)
    assert (root.parent / "outside/secret").read_text() == "s"
    assert [entry.name for entry in (root.parent / "outside").iterdir()] == ["secret"]


def test_what_is_missing_too_large_or_too_long(root: Path) -> None:
    with pytest.raises(NotFound):
        safe_path.read(root, root / "no/such", limit=10)
    with (root / "huge").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(Refused, match="more than 100 bytes"):
        safe_path.read(root, root / "huge", limit=100)
    with pytest.raises((MachineError, Refused)):
        safe_path.write(root, root / ("x" * 300), b"x")


def test_a_folder_that_becomes_a_link_again_and_again_lets_nothing_out(root: Path) -> None:
    outside, ended = root.parent / "outside", threading.Event()
    place, kept = root / "real", root / "kept"

    def swap() -> None:
        steps = (
            lambda: place.rename(kept),
            lambda: place.symlink_to(outside),
            place.unlink,
            lambda: kept.rename(place),
            lambda: place.mkdir(exist_ok=True),
        )
        while not ended.is_set():
            for step in steps:
                with suppress(OSError):  # the writer makes the folder meanwhile
                    step()
            shutil.rmtree(kept, ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            with suppress(Refused, NotFound, MachineError):
                safe_path.write(root, place / "x", b"x")
    finally:
        ended.set()
        thread.join()
    assert [entry.name for entry in outside.iterdir()] == ["secret"]
