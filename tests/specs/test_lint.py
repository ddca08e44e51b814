"""Lint: every rule with a text that it finds and one that it leaves alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.model.verdict import Finding
from factory.specs.lint import lint
from factory.specs.rules import RULES
from tests.servers import ROOT

FRONT = "---\nid: a\ntitle: t\nstatus: decided\nversion: 1\nowner: o\n---\n"
BODY = """# t

## Outcome

Somebody is greeted.

## Structure

One program.

## Contract

- **A-1**: it answers.

## Validation

- A-1: Given it runs, When it is asked, Then it answers.
"""
CLEAN = FRONT + BODY


def found(text: str, *, others: dict[str, bytes] | None = None, path: str = "specs/a.md") -> list[Finding]:
    there = {"docs/specs.md", "README.md", "specs/a b.md"}
    made = lint({path: text.encode(), **(others or {})}, exists=there.__contains__)
    return [item for item in made if item.path == path]


def rules(text: str, *, others: dict[str, bytes] | None = None) -> list[str]:
    return [item.rule for item in found(text, others=others)]


def outcome(words: str) -> str:
    return CLEAN.replace("Somebody is greeted.", words)


def test_a_clear_spec_has_no_findings() -> None:
    assert rules(CLEAN) == []


def test_the_shipped_specs_are_clear() -> None:
    shipped = {f"specs/{path.name}": path.read_bytes() for path in (ROOT / "specs").glob("*.md")}
    assert lint(shipped, exists=lambda path: (ROOT / path).exists()) == ()


CASES = [
    ("spec.unreadable", CLEAN.replace("owner: o\n", ""), 1),
    ("spec.name", CLEAN.replace("id: a", "id: b"), 1),
    ("spec.part-missing", CLEAN.replace("## Structure\n\nOne program.\n\n", ""), 0),
    ("spec.part-empty", CLEAN.replace("One program.\n", ""), 14),
    ("spec.part-repeated", CLEAN.replace("## Contract", "## Structure\n\nMore.\n\n## Contract"), 18),
    ("spec.part-unknown", CLEAN + "\n## Notes\n\nx\n", 26),
    ("spec.no-requirements", CLEAN.replace("- **A-1**: it answers.", "None.").replace("- A-1: Given", "Given"), 0),
    ("spec.requirement-empty", CLEAN.replace("**A-1**: it answers.", "**A-1**:"), 20),
    ("spec.id-form", CLEAN.replace("## Validation", "  - **A-2**: nested\n\n## Validation"), 22),
    ("spec.id-form", CLEAN.replace("## Validation", "* **A-2**: other sign\n\n## Validation"), 22),
    ("spec.id-form", CLEAN + "\n1. A-1: Given a, When b, Then c\n", 26),
    ("spec.hidden-text", CLEAN.replace("**A-1**: it answers.", "**A-1**: it answers\n  <!-- to nobody -->"), 21),
    ("spec.no-scenario", CLEAN.replace("it answers.\n\n", "it answers.\n- **A-2**: it ends.\n\n", 1), 21),
    ("spec.no-requirement", CLEAN + "- B-1: Given a, When b, Then c.\n", 25),
    ("spec.scenario-form", CLEAN + "- A-1: When it is asked, Then it answers.\n", 25),
    ("spec.duplicate-id", CLEAN.replace("## Validation", "- **A-1**: again.\n\n## Validation"), 22),
    ("spec.dangling-id", outcome("See A-7."), 12),
    ("spec.undecided", outcome("TODO"), 12),
    ("spec.undecided", outcome("The colour is to be\ndecided."), 12),
    ("spec.undecided", CLEAN.replace("title: t", "title: TBD"), 3),
    ("spec.undecided", outcome("```yaml\nsize: ???\n```"), 13),
    ("spec.vague-word", outcome("It answers quickly."), 12),
    ("spec.vague-word", outcome("It is user-friendly; 3 people use it."), 12),
    ("spec.open-ended", outcome("Names, ages, etc. are kept."), 12),
    ("spec.open-ended", outcome("At most 3 names, ages and\nso on."), 12),
    ("spec.broken-link", outcome("See [it](gone.md)."), 12),
    ("spec.broken-link", outcome("See [it](#nowhere)."), 12),
    ("spec.broken-link", outcome("See [it](../../etc/passwd)."), 12),
    ("spec.broken-link", outcome("See [it][1].\n\n[1]: gone.md"), 14),
]


@pytest.mark.parametrize(("rule", "text", "line"), CASES)
def test_what_each_rule_finds(rule: str, text: str, line: int) -> None:
    hits = [(item.line, item.fix) for item in found(text) if item.rule == rule]
    assert hits == [(line, RULES[rule].fix)]


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == {rule for rule in RULES if rule.startswith("spec.")}


QUIET = [
    ("spec.unreadable", CLEAN.replace("owner: o\n", "owner: 'o: p' # q\n")),
    ("spec.part-empty", CLEAN.replace("One program.", "### More\n\nOne program.")),
    ("spec.part-unknown", CLEAN + "\n### Notes\n\nx\n"),
    ("spec.part-missing", CLEAN.replace("## Structure", "## Structure ##")),
    ("spec.part-repeated", CLEAN.replace("One program.", "```\n## Structure\n```")),
    ("spec.id-form", outcome("UTF-8 is used. The A-1: see below.")),
    ("spec.id-form", outcome("```\n* **A-2**: x\n```")),
    ("spec.id-form", outcome("For example:\n\n    * **A-2**: x")),
    ("spec.hidden-text", outcome("Somebody is greeted.\n\n<!-- A note\n- **A-2**: x -->")),
    ("spec.hidden-text", CLEAN.replace("it answers.", "it answers `<!-- a` <b>soon</b>.")),
    ("spec.no-scenario", CLEAN + "- A-1: Given b, When c, Then d.\n"),
    ("spec.scenario-form", CLEAN + "- A-1: given b,\n  when c,\n  then d.\n"),
    ("spec.dangling-id", outcome("UTF-8, RFC-3339, SHA-256 and A-1.")),
    ("spec.undecided", outcome("A `TODO` list app keeps todos: to be or not to be.")),
    ("spec.vague-word", outcome("It answers quickly, in 200 ms.")),
    (
        "spec.vague-word",
        outcome("How many there are is shown, as soon as it is known; `fast` merges are fast-forward."),
    ),
    ("spec.vague-word", outcome("It answers\nquickly: 200 ms.")),
    ("spec.open-ended", outcome("The etcetera band plays.")),
    ("spec.broken-link", outcome("[a](../docs/specs.md#x) [b](#outcome) [c](https://x.test/gone) [d](/README.md)")),
    ("spec.broken-link", outcome("[a](<a b.md>) [b](a%20b.md) `[c](gone.md)` [d](mailto:x@y.test) ![e](../README.md)")),
]


@pytest.mark.parametrize(("rule", "text"), QUIET)
def test_what_each_rule_leaves_alone(rule: str, text: str) -> None:
    assert rule not in rules(text)


def test_a_number_elsewhere_measures_nothing() -> None:
    for words in ("It answers quickly. There are 3.", "It answers `404` quickly.", "It answers quickly, see A-1."):
        assert rules(outcome(words)) == ["spec.vague-word"]


def test_ids_across_specs() -> None:
    other = CLEAN.replace("id: a", "id: b").encode()
    made = lint({"specs/a.md": CLEAN.encode(), "specs/b.md": other}, exists=lambda _: True)
    assert [(item.rule, item.path) for item in made] == [("spec.duplicate-id", "specs/b.md")]
    assert "specs/a.md:20" in made[0].message
    same = lint({"specs/a.md": CLEAN.encode(), "old/a.md": other.replace(b"id: b", b"id: a")}, exists=lambda _: True)
    assert {item.rule for item in same} == {"spec.duplicate-id"}
    assert rules(outcome("See B-1 and B-2."), others={"specs/b.md": other.replace(b"A-1", b"B-1")}) == [
        "spec.dangling-id"
    ]


def test_superseded_specs_are_looked_at_for_form_only() -> None:
    old = CLEAN.replace("status: decided", "status: superseded").replace("One program.", "Many fast ones, TBD.")
    assert rules(old.replace("it answers.", "it answers.\n- **A-2**: no scenario.", 1)) == []
    assert rules(old.replace("## Structure", "### Structure")) == ["spec.part-missing"]
    successor = CLEAN.replace("id: a", "id: b").encode()
    assert lint({"specs/a.md": old.encode(), "specs/b.md": successor}, exists=lambda _: True) == ()


def test_anchors_are_those_of_gitlab() -> None:
    headings = "### The `GET` call: 1 & 2\n\nx\n\n### Twice\n\nx\n\n### Twice\n\n"
    links = "[a](#the-get-call-1-2) [b](#twice) [c](#twice-1)"
    assert rules(outcome(headings + links)) == []


PIECES = [*BODY.splitlines(), "```", "TODO", "many", "etc.", "- **A-1**: x", "[a](b)", "`", "](", "## X", "[^a]: ~"]


@given(st.dictionaries(st.sampled_from(["specs/a.md", "specs/b.md"]), st.binary()))
def test_any_bytes_give_findings(specs: dict[str, bytes]) -> None:
    assert {item.rule for item in lint(specs, exists=lambda _: False)} <= {"spec.unreadable"}


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8))), st.randoms(use_true_random=False))
def test_the_same_specs_give_the_same_findings(lines: list[str], shuffled: random.Random) -> None:
    specs = {f"specs/{name}.md": (FRONT.replace("id: a", f"id: {name}") + "\n".join(lines)).encode() for name in "abc"}
    paths = list(specs)
    shuffled.shuffle(paths)
    made = lint(specs, exists=lambda _: False)
    assert made == lint({path: specs[path] for path in paths}, exists=lambda _: False)
    assert all(item.rule in RULES and item.line <= len(specs[item.path].decode().split("\n")) for item in made)


@pytest.mark.parametrize(
    "hidden",
    [
        "And so <!-- never --> on.",
        "And so <span hidden>never</span> on.",
        "And <b style='display: none'>never</b> on.",
        "\b\n  [//]: # (and never)",
        "\b\n  [a]: /x 'and\n  never'",
    ],
)
def test_a_comment_within_a_line_of_text_is_named(hidden: str) -> None:
    text = CLEAN.replace("**A-1**: it answers.", f"**A-1**: it answers.\n  {hidden}".replace("  \b", ""))
    (line,) = [item.line for item in found(text) if item.rule == "spec.hidden-text"]
    assert line == 21 + hidden.startswith("\b")


def test_a_fold_is_named_and_a_lone_carriage_return_is_no_line() -> None:
    folded = CLEAN.replace("## Validation", "<details>\n\nMore.\n\n</details>\n\n## Validation")
    assert "spec.hidden-text" in {item.rule for item in found(folded)}
    assert any("carriage return" in item.message for item in found(CLEAN.replace("it answers.", "it\rnever answers.")))
