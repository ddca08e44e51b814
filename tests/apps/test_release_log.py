"""What a release prints is kept, within bounds, and read as it comes."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from factory.apps import release_log


def kept(path: Path, *blocks: bytes) -> None:
    output, its_end = os.pipe()
    thread = release_log.keep(output, path)
    for block in blocks:
        os.write(its_end, block)
    os.close(its_end)
    thread.join(60)
    assert not thread.is_alive()


def test_the_lines_of_several_starts_are_one_log(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "shop.log"
    assert release_log.lines(path, 5) == []
    kept(path, b"one\ntwo\n")
    kept(path, b"three\xff\nfour")
    assert release_log.lines(path, 3) == ["two", "three\ufffd", "four"]
    assert release_log.lines(path, 0) == []
    assert (path.parent.stat().st_mode & 0o777) == 0o700


def test_who_prints_without_end_fills_no_disk(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    kept(path, *(b"%063d\n" % number * 1000 for number in range(60)))
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= release_log.MOST
    assert release_log.lines(path, 1) == [f"{59:063d}"]
    assert len(release_log.lines(path, 20_000)) == 20_000, "the file before is read, too"
    release_log.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_stops_no_release(tmp_path: Path) -> None:
    (tmp_path / "shop.log").mkdir()
    kept(tmp_path / "shop.log", b"lost\n" * 20_000)


def test_what_is_added_is_followed_also_into_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    feed = release_log.following(path)
    assert next(feed) == []
    kept(path, b"one\ntw")
    assert next(feed) == []
    assert next(feed) == ["one"]
    kept(path, b"o\n")
    assert next(feed) == ["two"]
    path.replace(release_log.earlier(path))
    kept(path, b"three\n")
    assert [line for _ in range(3) for line in next(feed)] == ["three"]


def test_a_line_that_does_not_end_is_shown_in_parts(tmp_path: Path) -> None:
    path, found = tmp_path / "shop.log", list[str]()
    feed = release_log.following(path)
    assert next(feed) == []
    for _ in range(4):
        kept(path, b"x" * 40_000)
        found += next(feed) + next(feed)
    assert [len(line) for line in found] == [80_000, 80_000]
    assert release_log.lines(path, 9) == ["x" * 160_000]


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_whole_lines_come_once_and_in_order(blocks: list[bytes]) -> None:
    import tempfile  # noqa: PLC0415 - a folder for each example

    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "a.log", list[str]()
        path.touch()
        feed = release_log.following(path)
        next(feed)
        for block in blocks:
            with path.open("ab") as file:
                file.write(block)
            found += next(feed)
        whole = b"".join(blocks).split(b"\n")[:-1]
        assert found == [line.decode(errors="replace") for line in whole]
