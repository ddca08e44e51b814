"""Paths as patterns: what is covered, what is protected on any file system, and which paths are odd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.policies.path_patterns import fold, matches, odd, touches, unmatchable

ANY = st.text(max_size=30) | st.text("aA./*?\\ é\u0301", max_size=12)


@pytest.mark.parametrize(
    ("path", "pattern", "covered"),
    [
        ("apps/a/b.py", "apps/**", True),
        ("apps", "apps/**", False),
        ("apps/x/openapi.yml", "apps/*/openapi.yml", True),
        ("apps/x/y/openapi.yml", "apps/*/openapi.yml", False),
        ("a/b/c", "**/c", True),
        ("c", "**/c", True),
        ("apps/a.py\n", "apps/a.py", False),
        ("apps/a\nb", "apps/**", True),
        ("apps/a+b", "apps/a+b", True),
        ("APPS/a", "apps/**", False),
        ("ab", "a?", True),
        ("a/", "a?", False),
    ],
)
def test_patterns(path: str, pattern: str, covered: bool) -> None:  # noqa: FBT001 - parametrized
    assert (matches(path, [pattern]) is not None) is covered


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("Policies/scope.yml", "policies/**"),
        ("policies/x", "POLICIES/**"),
        ("apps/x/OpenAPI.yml", "apps/*/openapi.yml"),
        ("apps/cafe\u0301", "apps/caf\u00e9"),
        ("\u017fpecs/a", "specs/**"),
        ("apps/stra\u00dfe", "apps/STRASSE"),
    ],
)
def test_what_some_file_system_takes_for_the_same_is_touched(path: str, pattern: str) -> None:
    assert touches(path, ["x", pattern]) == pattern


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("apps\\x", "backslash"),
        ("apps//x", "empty part"),
        ("apps/", "empty part"),
        ("./apps", "empty part"),
        ("apps/../policies", "empty part"),
        ("apps/a\n", "invisible"),
        ("apps/a\u202eb", "invisible"),
        ("apps/.g\u200cit", "invisible"),
        ("apps/\ud800", "invisible"),
        ("apps/cafe\u0301", "NFC"),
        ("apps/conftest.py.", "ends with"),
        ("apps/x /y", "ends with"),
    ],
)
def test_odd_paths(path: str, told: str) -> None:
    assert told in (odd(path) or "")


@pytest.mark.parametrize("path", ["apps/x.py", "apps/caf\u00e9", "a", ".gitlab-ci.yml", "a b/c", "docs/日本.md"])
def test_plain_paths(path: str) -> None:
    assert odd(path) is None


@pytest.mark.parametrize(("pattern", "fits"), [("**/x", True), ("a/*.py", True), ("/a", False), ("a/../b", False)])
def test_patterns_that_match_nothing(pattern: str, fits: bool) -> None:  # noqa: FBT001 - parametrized
    assert (unmatchable(pattern) is None) is fits


@given(ANY, ANY)
def test_what_is_covered_is_touched(path: str, pattern: str) -> None:
    odd(path)
    if matches(path, [pattern]) is not None:
        assert touches(path, [pattern]) == pattern


@given(ANY)
def test_a_path_touches_itself_however_it_is_written(path: str) -> None:
    plain = path.replace("*", "x").replace("?", "x")
    assert touches(plain.upper(), [fold(plain.upper())]) is not None
    assert fold(fold(plain)) == fold(plain)
