"""New specs: read back as written, and lint names what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.model.verdict import Finding
from factory.specs.lint import lint
from factory.specs.new import render
from factory.specs.read import Spec, read


def made(text: str) -> Spec:
    return read(text.encode(), source="specs/x.md")


def findings(text: str, name: str) -> tuple[Finding, ...]:
    return lint({f"specs/{name}.md": text.encode()}, exists=lambda _: False)


def test_what_is_missing_is_found() -> None:
    text = render(spec="big-shop")
    assert [item.id for item in made(text).requirements] == ["BIG-SHOP-1"]
    found = findings(text, "big-shop")
    assert {item.rule for item in found} == {"spec.undecided"}
    told = {text.split("\n")[item.line - 1] for item in found}
    assert [line for line in text.split("\n") if "TODO" in line and line not in told] == []
    assert {"title: TODO", "owner: TODO"} <= told
    assert sum(line.startswith("TODO: ") for line in told) == 3


def test_a_whole_spec_leaves_nothing_open() -> None:
    text = render(
        spec="shop",
        title="Shop: the first",
        owner="ada",
        outcome="People buy.",
        structure="One program.",
        contract="It has:",
        requirements=[("It sells.", "Given a shop, When one buys, Then it is sold."), ("It ends.", "")],
    )
    spec = made(text)
    assert (spec.title, spec.owner, spec.status, spec.version) == ("Shop: the first", "ada", "draft", 1)
    assert {item.line for item in findings(text, "shop")} == {spec.requirements[1].scenarios[0].line}


@given(st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip()), st.text())
def test_any_title_is_read_back(title: str, outcome: str) -> None:
    assert made(render(spec="x", title=title, outcome=outcome)).title == title.strip()


@pytest.mark.parametrize("values", [{"spec": "../x"}, {"spec": "X"}, {"spec": "x", "title": "a\nb"}])
def test_what_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        render(spec=values["spec"], title=values.get("title", "t"))
