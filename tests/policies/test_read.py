"""Policies: what is refused, with file and key; paths as patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.policies import read
from factory.policies.paths import matches
from tests.servers import ROOT

FILES = {f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")}
REST = "\nthresholds: {changed_lines_covered: 90, slowdown: 2.0}\ndependencies: {known: {}, licences: [MIT]}"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "scope",
            "agents: [a]\nallowed: [a]\nprotected: []\nmax_files: 1\nmax_lines: 1\nsmall_lines: 1\nmax_line: 2",
            "max_line",
        ),
        ("scope", "agents: [a]\nallowed: [a]\nprotected: []\nmax_files: 0\nmax_lines: 1", "max_files"),
        ("scope", "agents: [a]\nallowed: []\nprotected: []\nmax_files: 1\nmax_lines: 1", "allowed"),
        ("scope", "allowed: [a]\nallowed: [b]", "given twice"),
        ("scope", "allowed: [a", "scope.yml:"),
        ("approvals", "merge: {required: 0, approvers: []}\nrisks: {}", "merge.required"),
        ("agents", "default: x\nagents: {}", "agents"),
        ("gates", "gates: {unit: {where: somewhere, required: true}}\nchecks: {}" + REST, "where"),
        ("gates", "gates: {unit: {where: local, required: yes}}\nchecks: {lint: [a]}" + REST, "no gate of this name"),
        ("workflow", "[]", "mapping"),
    ],
)
def test_what_is_refused(name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match="policies/" + name) as refused:
        read.read(FILES | {f"policies/{name}.yml": text.encode()})
    assert told in str(refused.value)


def test_missing_and_unknown_files() -> None:
    with pytest.raises(InvalidInput, match=r"scope.yml is missing"):
        read.read({name: text for name, text in FILES.items() if "scope" not in name})
    with pytest.raises(InvalidInput, match="no policy has this name"):
        read.read(FILES | {"policies/scop.yml": b"{}"})


def test_every_byte_counts_for_the_digest() -> None:
    before = read.digest(FILES)
    for name, text in FILES.items():
        assert read.digest(FILES | {name: text + b"\n"}) != before


@given(st.binary(max_size=200))
def test_bad_bytes_never_give_a_traceback(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read.read(FILES | {"policies/scope.yml": data})


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
        ("apps/a+b", "apps/a+b", True),
    ],
)
def test_patterns(path: str, pattern: str, covered: bool) -> None:  # noqa: FBT001 - parametrized
    assert (matches(path, [pattern]) is not None) is covered
