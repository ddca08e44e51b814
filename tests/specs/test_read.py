"""Specs: front matter, requirements, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.specs import read
from tests.servers import ROOT

GOOD = b"---\nid: a\ntitle: t\nstatus: decided\nversion: 1\nowner: o\n---\n- **A-1**: it holds\n"


def test_the_shipped_spec() -> None:
    spec = read.read((ROOT / "specs/hello.md").read_bytes(), source="specs/hello.md")
    assert spec.status == "decided"
    assert list(spec.requirements) == ["HELLO-1", "HELLO-2", "HELLO-3", "HELLO-4"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"no front matter", "front matter"),
        (GOOD.replace(b"owner: o\n", b""), "owner"),
        (GOOD.replace(b"decided", b"done"), "status"),
        (GOOD.replace(b"version: 1", b"version: one"), "whole number"),
        (GOOD.replace(b"id: a", b"id: [a"), "s.md"),
    ],
)
def test_what_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        read.read(text, source="s.md")


@given(st.binary())
def test_bad_bytes_never_give_a_traceback(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read.read(data, source="s.md")


@pytest.mark.parametrize(
    ("text", "spec"),
    [("Spec: hello", "hello"), ("a\n\nSpec: hello-2 \nb", "hello-2"), ("Spec: ../x", None), ("spec: hello", None)],
)
def test_citing(text: str, spec: str | None) -> None:
    assert read.cited(text) == spec
