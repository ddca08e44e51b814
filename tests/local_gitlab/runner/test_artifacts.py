"""Patterns of artifacts."""

from pathlib import Path

import pytest

from factory.local_gitlab.runner import artifacts


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a.txt", ["a.txt"]),
        ("{a,b}.txt", ["a.txt", "b.txt"]),
        ("x/{a,b}/{c,d}", ["x/a/c", "x/a/d", "x/b/c", "x/b/d"]),
        ("{a,b{c,d}}", ["a", "bc", "bd"]),
        ("{a}", ["{a}"]),
        ("a}{b", ["a}{b"]),
    ],
)
def test_braces_stand_for_alternatives(pattern: str, wanted: list[str]) -> None:
    assert sorted(artifacts.braces(pattern)) == wanted


def test_braces_have_an_end() -> None:
    assert len(artifacts.braces("{a,b}" * 40)) <= 2 * 1000


def test_exclude_leaves_a_folder_in_unless_it_names_what_is_below(tmp_path: Path) -> None:
    for name in ("foo/bar/a.o", "foo/bar/b.log", "foo/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def left(*exclude: str) -> set[str]:
        out = set(artifacts.matching(tmp_path, list(exclude), folders=False))
        return {path.name for path in artifacts.matching(tmp_path, ["foo"]) if path not in out}

    assert left("foo/bar") == {"a.o", "b.log", "c.txt"}
    assert left("foo/bar/**") == {"c.txt"}
    assert left("foo/**/*.{o,log}") == {"c.txt"}
