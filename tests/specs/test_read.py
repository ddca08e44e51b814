"""Specs: front matter, parts, requirements and scenarios, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.specs import read
from factory.system import strict_yaml
from tests.servers import ROOT

FRONT = b"---\nid: a\ntitle: t\nstatus: decided\nversion: 1\nowner: o\n---\n"
GOOD = FRONT + b"- **A-1**: it holds\n"


def spec(body: str) -> read.Spec:
    return read.read(FRONT + body.encode(), source="s.md")


def test_the_shipped_spec() -> None:
    shipped = read.read((ROOT / "specs/hello.md").read_bytes(), source="specs/hello.md")
    assert (shipped.id, shipped.status, shipped.owner) == ("hello", "decided", "operator")
    assert [item.id for item in shipped.requirements] == ["HELLO-1", "HELLO-2", "HELLO-3", "HELLO-4"]
    assert [len(item.scenarios) for item in shipped.requirements] == [1, 1, 1, 2]
    assert [part.name for part in shipped.parts] == list(read.PARTS)
    assert shipped.requirements[1].text.endswith("another length is answered as if no name were given.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"no front matter", "s.md:1: a spec must begin with front matter"),
        (b"---\nid: a\n", "s.md:1: the front matter's closing line"),
        (GOOD.replace(b"owner: o\n", b""), "lacks owner"),
        (GOOD.replace(b"owner", b"ownr"), "s.md:6: the front matter has no key ownr; did you mean owner"),
        (GOOD.replace(b"owner: o", b"id: b"), "s.md:6: the key id appears twice"),
        (GOOD.replace(b"decided", b"done"), "s.md:4: status must be one of"),
        (GOOD.replace(b"version: 1", b"version: one"), "s.md:5: version must be a whole number"),
        (GOOD.replace(b"version: 1", b'version: "1"'), "whole number"),
        (GOOD.replace(b"id: a", b"id: [a"), "s.md:2: id: put"),
        (GOOD.replace(b"id: a", b"id: a/../b"), "s.md:2: id must be lower-case letters"),
        (GOOD.replace(b"title: t", b"title: yes"), "s.md:3: title: put 'yes' in quotes"),
        (GOOD.replace(b"title: t", b"title: a: b"), "in quotes"),
        (GOOD.replace(b"title: t", b"title:"), "title must be printable text"),
        (GOOD.replace(b"title: t", b"  title: t"), "s.md:3: a line of the front matter must be"),
        (GOOD + b"\xff", "s.md:9: the file is not UTF-8"),
    ],
)
def test_what_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read.read(text, source="s.md")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("given_title", "title"),
    [
        ("t # why", "t"),
        ("'it''s: so'", "it's: so"),
        ('"a # b" # c', "a # b"),
        ("a#b", "a#b"),
        ("404 pages", "404 pages"),
    ],
)
def test_titles(given_title: str, title: str) -> None:
    assert read.read(GOOD.replace(b"title: t", f"title: {given_title}".encode()), source="s.md").title == title


@given(st.text(alphabet=st.sampled_from("ab01 :#'\"-[]{},.?!&*%@`|>=~+_\\\tn\u00a0\u2028yeNo"), max_size=12))
def test_a_title_that_is_accepted_means_the_same_in_yaml(text: str) -> None:
    made = read.examine(GOOD.replace(b"title: t", f"title: {text}".encode()))
    if isinstance(made, read.Spec):
        assert strict_yaml.load_mapping(f"title: {text}\n", source="s")["title"] == made.title


@given(st.binary())
def test_bad_bytes_never_give_a_traceback(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read.read(data, source="s.md")


@given(st.lists(st.sampled_from(["- **A-1**: x", "- A-1: Given", "## Validation", "```", "~~~", "  y", "", "#", "- "])))
def test_any_body_is_read(lines: list[str]) -> None:
    made = spec("\n".join(lines))
    places = [item.line for item in made.requirements] + [item.line for item in made.scenarios]
    assert all(made.lines[line - 1].startswith("- ") for line in places)


def test_carriage_returns_and_byte_order_mark() -> None:
    made = read.read(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"), source="s.md")
    assert made.requirements[0].text == "it holds"
    assert made.requirements[0].line == 8


def test_a_requirement_goes_on_until_its_item_ends() -> None:
    made = spec("- **A-1**: one\n  two\nthree\n\n  - four\n\nnot this\n- **A-2**:\n  five\n- six\n")
    assert [item.text for item in made.requirements] == ["one two three - four", "five"]


def test_scenarios_belong_to_their_requirement() -> None:
    made = spec("- **A-1**: x\n- A-1: Given outside\n## Validation\n- A-1: Given a,\n  When b\n- A-1: c\n- B-2: d\n")
    assert [(item.text, item.line) for item in made.requirements[0].scenarios] == [("Given a, When b", 11), ("c", 13)]
    assert [item.requirement for item in made.scenarios] == ["A-1", "A-1", "B-2"]


def test_code_blocks_hold_no_requirements() -> None:
    assert spec("```\n- **A-1**: x\n## Outcome\n```\n~~~~\n```\n- **A-2**: y\n").requirements == ()


def test_digest_of_a_requirement() -> None:
    def digest(body: str) -> str:
        return spec(body).requirements[0].digest

    base = digest("- **A-1**: one two\n## Validation\n- A-1: Given x\n")
    assert digest("words\n\n- **A-1**: one\n  two\n## Validation\n- A-1: Given\n  x\n") == base
    assert digest("- **A-1**: one three\n## Validation\n- A-1: Given x\n") != base
    assert digest("- **A-1**: one two\n## Validation\n- A-1: Given y\n") != base


@pytest.mark.parametrize(
    ("text", "spec_id"),
    [("Spec: hello", "hello"), ("a\n\nSpec: hello-2 \nb", "hello-2"), ("Spec: ../x", None), ("spec: hello", None)],
)
def test_citing(text: str, spec_id: str | None) -> None:
    assert read.cited(text) == spec_id


def test_what_a_comment_hides_is_neither_requirement_nor_scenario() -> None:
    hidden = spec(
        "## Contract\n\n- **A-1**: it holds\n\n<!--\n- **A-9**: it opens\n\n## Validation\n\n- A-9: Given\n-->\n\n"
        "## Validation\n\n- A-1: Given a, When b, Then c.\n  <!-- Then all doors open. -->\n  And more.\n"
    )
    assert [(item.id, item.text) for item in hidden.requirements] == [("A-1", "it holds")]
    assert [(item.requirement, item.text) for item in hidden.scenarios] == [
        ("A-1", "Given a, When b, Then c. And more.")
    ]
    assert [part.name for part in hidden.parts] == ["Contract", "Validation"]


@pytest.mark.parametrize(
    "block",
    [
        "    - **A-2**: indented code",
        "\t## Contract",
        "~~~\n- **A-2**: fenced\n~~~",
        "<div>\n- **A-2**: markup\n</div>",
        "-     **A-2**: code in an item",
        "[//]: # (- **A-2**: the title of a link definition)",
    ],
)
def test_code_and_markup_hold_no_requirement(block: str) -> None:
    assert [item.id for item in spec(f"Text.\n\n{block}\n\n- **A-1**: it holds\n").requirements] == ["A-1"]
