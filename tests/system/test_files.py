"""Files: whole writes, containment, locks; a full disk loses nothing."""

import os
from pathlib import Path

import pytest

from factory.errors import Conflict, DiskFull, InvalidInput, MachineError, NotFound, Refused
from factory.system import canonical, files, process, strict_yaml, templates
from tests.servers import TOOL_ENV


def test_full_disk_keeps_the_old_content(small_disk: Path) -> None:
    path = small_disk / "file"
    files.write_atomic(path, b"old")
    with pytest.raises(DiskFull):
        files.write_atomic(path, b"x" * 1_000_000)
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "link/x"])
def test_containment(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(Refused):
        files.contained(root, path)
    assert files.contained(root, "a/../b") == root / "b"


def test_locks_and_unreadable_files(tmp_path: Path) -> None:
    with files.locked(tmp_path / "lock"), pytest.raises(Conflict), files.locked(tmp_path / "lock", wait=False):
        pass
    with files.locked(tmp_path / "lock", wait=False):
        pass
    with pytest.raises(InvalidInput):
        files.read_text(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput):
        files.read_text(tmp_path / "binary")


@pytest.mark.parametrize("value", [1.5, {"a": [0.1]}, {1: 2}, object()])
def test_what_has_no_canonical_form(value: object) -> None:
    with pytest.raises(TypeError):
        canonical.encode(value)


def test_canonical_bytes_do_not_depend_on_order() -> None:
    assert canonical.encode({"b": [1, "é"], "a": None}) == b'{"a":null,"b":[1,"\xc3\xa9"]}'
    assert canonical.digest_of({"a": 1, "b": 2}) == canonical.digest_of({"b": 2, "a": 1})


@pytest.mark.parametrize("text", ["a: 1\na: 2", "? [1]\n: 2", "!!python/object:os.system {}", "- a\n b", "\0"])
def test_yaml_that_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"f\.yml"):
        strict_yaml.load_mapping(text, source="f.yml")


def test_templates_refuse_what_is_undefined() -> None:
    with pytest.raises(InvalidInput, match=r"t\.j2"):
        templates.render("{{ missing }}", {}, source="t.j2")
    with pytest.raises(InvalidInput):
        templates.render("{{ ''.__class__.__mro__ }}", {}, source="t.j2")
    with pytest.raises(InvalidInput, match=r"t\.j2:1"):
        templates.render("{% if %}", {}, source="t.j2")


def test_programs_that_are_missing_fail_or_hang() -> None:
    with pytest.raises(MachineError, match="not installed"):
        process.run(["no-such-program"], env=TOOL_ENV)
    with pytest.raises(MachineError, match="ended with 3: told"):
        process.run(["sh", "-c", "echo told >&2; exit 3"], env=TOOL_ENV)
    with pytest.raises(MachineError, match="longer than"):
        process.run(["sh", "-c", "sleep 30 & wait"], env=TOOL_ENV, timeout=0.3)


def test_what_somebody_untrusted_wrote_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "said"
    with pytest.raises(NotFound):
        files.read_untrusted(path, 10)
    path.write_bytes(b"x" * 11)
    assert files.read_untrusted(path, 10) == (b"x" * 10, True)
    assert files.read_untrusted(path, 11) == (b"x" * 11, False)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "twin").hardlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "twin", "pipe", "."):
        with pytest.raises(Refused, match="regular file"):
            files.read_untrusted(tmp_path / name, 10)


def nest(folder: Path, levels: int) -> None:
    """Make nested folders, deeper than a path can say."""
    start = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(levels):
            Path("a").mkdir()
            os.chdir("a")
        Path("file").touch()
    finally:
        os.chdir(start)


@pytest.mark.long
def test_folders_nested_without_end_are_refused_and_deleted(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "kept").write_text("kept")
    (top / "link").symlink_to(tmp_path, target_is_directory=True)
    (top / "locked").mkdir(0o000)
    nest(top, 5000)
    with pytest.raises(Refused, match="nested folders"):
        list(files.below(top))
    files.remove_tree(top)
    assert not top.exists()
    assert (tmp_path / "kept").read_text() == "kept"
    files.remove_tree(top)


def test_a_walk_names_every_entry_once_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("z", "a", "b/1", "b/c/2"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert [str(path.relative_to(tmp_path)) for path in files.below(tmp_path)] == ["a", "z", "b/1", "b/up", "b/c/2"]
    assert list(files.below(tmp_path / "absent")) == []


def test_a_link_in_place_of_a_folder_is_deleted_itself(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "link").symlink_to("kept")
    files.remove_tree(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept/file").exists()
