"""The review note: understood at once, inert whatever the agent wrote, never too long."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.model.facts import PlannedChange
from factory.model.verdict import Finding, Verdict
from factory.reports.markdown import fit, link, name, neutral, span
from factory.reports.review_note import AcceptedFinding, Behaviour, Cost, ReviewNote, Risk, Row, render

NOTE = ReviewNote(
    merge_request=7,
    issue="1",
    head="4f1c0a9d",
    spec="hello-greeting",
    spec_digest="sha256:01",
    policy="sha256:02",
    plan="sha256:03",
    rows=(
        Row("HELLO-1", "The service greets a caller by name.", (("tests.test_hello.test_greets", "success"),)),
        Row("HELLO-2", "An empty name is refused.", (("tests.test_hello.test_empty", "success"),)),
    ),
    verdicts=(Verdict("scope", "passed"), Verdict("unit", "passed")),
    required=("scope", "unit"),
    behaviour=Behaviour(
        contract=("+ GET /hello",),
        plan=(PlannedChange("dns.new", "dns", ("create",)), PlannedChange("dns.old", "dns", ("delete", "create"))),
        added=("httpx 0.28",),
        removed=(),
    ),
    claim="I added the parameter.\n\nIt is tested.",
    cost=Cost(2, 18400, 185.2, 80.0),
    excused=(AcceptedFinding("types.error", "apps/hello/src/hello.py", "operator", "2027-01-31"),),
    risks=(Risk("destroy", "May this be destroyed?", "The plan deletes dns.old."),),
    decisions=("Is this the wording you want?",),
    links=(("Pipeline 41", "https://gitlab.example/x/-/pipelines/41"),),
)
BROKEN = Verdict("unit", "failed", (Finding("unit.failed", "assert 1 == 2", "Mend it.", "tests/test_hello.py", 12),))

# What markdown, GitLab and line endings give a meaning, as an attacker would put it together.
SIGNS = [*"\\`*_[]{}()#!|~$%^&@<>/-+=:.1 \t\n\r\x0b\x00\x85\u2028\u2029\u202e", "\ud800"]
MARKUP = ["<!--", "-->", "</details>", "![x](https://evil.example/x.png)", "&lt;", "www.", "https://", "```\n", "~~~"]
BEGINNINGS = ["\n/approve\n", "@all", "\n# ", "\n---\n", "\n- head: `0`\n", "| a | b |", "1. "]
nasty = st.lists(
    st.sampled_from([*SIGNS, *MARKUP, *BEGINNINGS, "success", "passed"]) | st.text(st.characters(), max_size=5),
    max_size=30,
).map("".join)


def lines(note: ReviewNote) -> list[str]:
    return render(note).split("\n")


def without_code(line: str) -> str:
    """Return a line without its escaped characters and without its code spans, which are inert."""
    return re.sub(r"(`+)[^`]+\1", "", re.sub(r"\\[!-/:-@\[-`{-~]", "", line))


def all_of(text: str, count: int = 1) -> ReviewNote:
    """Return a note that holds the text wherever a note holds text."""
    finding = Finding(text, text, text, text, 3)
    return ReviewNote(
        merge_request=1,
        issue=text,
        head=text,
        spec=text,
        spec_digest=text,
        policy=text,
        plan=text,
        rows=(Row(text, text, ((text, "success"), (text, text)) * count),) * count,
        verdicts=(Verdict(text, "failed", (finding,) * count, text, (finding,) * count), BROKEN) * count,
        required=(text,) * count,
        behaviour=Behaviour((text,) * count, (PlannedChange(text, text, (text,)),) * count, (text,), (text,)),
        claim=text * count,
        cost=Cost(count, None, 0.0, 0.0),
        excused=(AcceptedFinding(text, text, text, text),) * count,
        risks=(Risk(text, text, text),) * count,
        decisions=(text,) * count,
        links=((text, text), (text, f"https://{text}")) * count,
    )


def test_the_first_line_says_what_to_do() -> None:
    assert lines(NOTE)[0] == (
        "**✓ Ready** — 2 required gates passed, 2 of 2 requirements proven. "
        "Decide 2 points below, then approve here or with `factory mr approve 7`."
    )
    plain = replace(NOTE, risks=(), decisions=(), rows=())
    assert lines(plain)[0].endswith("no requirements. Approve here or with `factory mr approve 7`.")


def test_a_failed_skipped_or_missing_required_gate_is_not_ready() -> None:
    verdicts = (BROKEN, Verdict("plan", "skipped", reason="the plan job failed"))
    first = lines(replace(NOTE, verdicts=verdicts, required=("scope", "unit", "plan")))[0]
    assert first.startswith("**✗ Do not approve yet** — failed: unit; not checked: plan; not run: scope; ")
    assert "approve here" not in first
    assert "**You decide**, once it is ready\n" in render(replace(NOTE, verdicts=verdicts))


def test_no_required_gate_is_not_ready() -> None:
    assert lines(replace(NOTE, required=()))[0].startswith("**✗ Do not approve yet** — no gate is required")


def test_what_failed_is_not_folded_away() -> None:
    text = render(replace(NOTE, verdicts=(BROKEN,)))
    shown = text[: text.index("<details>")]
    assert "* ✗ `unit` failed\n  * `tests/test_hello.py:12` assert 1 == 2 (`unit.failed`)" in shown


def test_flags_and_optional_gates_are_to_be_looked_at() -> None:
    flagged = Verdict("unit", "passed", flags=(Finding("spec.weaker", "an assertion is gone", "", "a.py"),))
    text = render(
        replace(NOTE, verdicts=(Verdict("scope", "passed"), flagged, Verdict("speed", "skipped", reason="x")))
    )
    assert text.startswith("**✓ Ready**")
    assert "* `a.py` an assertion is gone (`spec.weaker`)\n* – `speed` skipped: x" in text  # noqa: RUF001 - our sign


def test_what_is_not_proven_comes_first() -> None:
    rows = (*NOTE.rows, Row("HELLO-3", "none"), Row("HELLO-4", "red", (("a", "success"), ("b", "failed"))))
    text = render(replace(NOTE, rows=rows))
    assert text.startswith(
        "**! Ready, with unproven requirements** — 2 required gates passed, 2 of 4 requirements proven"
    )
    assert [line for line in text.splitlines() if line.startswith("| ")][1:3] == [
        "| ✗ | `HELLO-3` none | **no test** |",
        "| ✗ | `HELLO-4` red | `b` **failed**, `a` passed |",
    ]


def test_behaviour_risk_and_cost_are_three_lines() -> None:
    text = render(NOTE)
    assert "* **Behaviour:** contract 1 line changed · plan 2 to create, 1 to delete · dependencies +1 -0\n" in text
    assert "* **Risk:** `destroy`\n" in text
    assert "* **Cost:** 2 attempts, 18,400 tokens, agent 3 min 5 s, jobs 1 min 20 s\n" in text
    assert "* plan: delete/create `dns.old`\n" in text


def test_what_is_not_known_is_said() -> None:
    text = render(replace(NOTE, behaviour=Behaviour(), cost=Cost(1, None, 0, 3661, 391), risks=()))
    assert "contract not compared · no plan · dependencies not compared" in text
    assert (
        "1 attempt, tokens not reported, agent 0 s, jobs 1 h 1 min 1 s (391 compute minutes left this month)\n" in text
    )
    assert "**Risk:** none listed in policy" in text
    same = render(replace(NOTE, behaviour=Behaviour((), (), (), ())))
    assert "contract unchanged · plan empty · dependencies +0 -0" in same


def test_the_claim_is_quoted_and_marked() -> None:
    text = render(NOTE)
    assert "The agent's claim, in its own words (not verified)" in text
    assert "> I added the parameter.  \n>\n> It is tested.  \n" in text
    assert "> (nothing)" in render(replace(NOTE, claim=" \n"))


def test_of_a_persons_change_no_agent_claims_anything() -> None:
    assert "claim" not in render(replace(NOTE, claim=None))


def test_an_approval_names_these_digests() -> None:
    assert [line for line in lines(NOTE) if line.startswith("- ")] == [
        "- issue: `1`",
        "- head: `4f1c0a9d`",
        "- spec: `sha256:01`",
        "- policy: `sha256:02`",
        "- plan: `sha256:03`",
    ]


def test_excused_findings_name_owner_and_day() -> None:
    assert "`types.error` `apps/hello/src/hello.py`, owner `operator`, until `2027-01-31`" in render(NOTE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/approve", r"\/approve"),
        ("@all see #1 !2 ~3 &4 %5 $6 ^7", r"\@all see \#1 \!2 \~3 \&4 \%5 \$6 \^7"),
        ("<!-- x --> <b>", r"&lt;\!-- x --&gt; &lt;b&gt;"),
        ("![a](https://b)", r"\!\[a\](https`://`b)"),
        ("see www.b.example", r"see www\.b.example"),
        ("a | b\\|`c`", r"a \| b\\\|\`c\`"),
        ("# a\r\n---\u2028- b", r"\# a --- - b"),
        ("- a", r"\- a"),
        ("12. a", r"12\. a"),
        ("==", r"\=="),
        ("&#64;all", r"\&\#64;all"),
        ("abcdef", "abcd…"),
    ],
)
def test_neutral(text: str, shown: str) -> None:
    assert neutral(text, 5 if text == "abcdef" else 100) == shown


def test_only_plain_identifiers_are_code() -> None:
    assert name("tests/test_a.py::test_b[1-2]") == "`tests/test_a.py::test_b[1-2]`"
    assert name("a`b") == r"a\`b"
    assert name("x" * 200) == "x" * 79 + "…"


def test_a_link_cannot_be_ended_early() -> None:
    assert link("Job", "https://host/1?a=b#c") == "[Job](https://host/1?a=b#c)"
    assert link("Job", "https://host/) ![x](y") == r"Job: https`://`host/) \!\[x\](y"
    assert link("a](b)", "https://host/") == r"[a\](b)](https://host/)"


def test_what_does_not_fit_is_counted() -> None:
    assert fit(["aa", "bb", "cc"], 6) == ["aa", "bb", "", "… and 1 more, not shown here."]
    assert fit(["aa"], 3) == ["aa"]


def test_spans() -> None:
    assert [span(0.2), span(59.6), span(3600)] == ["0 s", "1 min", "1 h"]


@settings(deadline=None)
@given(text=nasty)
def test_nothing_in_a_text_acts(text: str) -> None:
    ours = re.compile(r"</?details>|</?summary>")
    for line in render(all_of(text)).split("\n"):
        assert len(line.splitlines()) <= 1
        assert not line.lstrip(" >*").startswith("/")
        bare = without_code(line)
        assert "<" not in ours.sub("", line)
        assert not re.search(r"[@#$%^~&](?!lt;|gt;)", re.sub(r"\(https?://[^)]*\)$", "", bare))
        assert "![" not in bare
        assert "://" not in re.sub(r"\]\(https?://[^)\s]+\)$", "", bare)
        if line.startswith("|"):
            assert bare.count("|") == 4
        if line.startswith("- "):
            assert re.match(r"- (issue|head|spec|policy|plan): ", line)


@settings(deadline=None)
@given(text=nasty)
def test_each_part_stays_where_it_is(text: str) -> None:
    shape = [line[:4] for line in lines(all_of(text)) if line.startswith(("<", "**", "|", "- "))]
    digests = ["- is", "- he", "- sp", "- po", "- pl"] if text else []
    assert [item for item in shape if item == "<det"] == ["<det"] * 4
    assert shape.count("</de") == 4
    assert [item for item in shape if item.startswith("- ")] == digests


@settings(deadline=None, max_examples=30)
@given(text=nasty, count=st.integers(1, 30))
def test_a_note_stays_short(text: str, count: int) -> None:
    assert len(render(all_of(text, count)).encode().decode()) < 20000


@pytest.mark.parametrize("character", ["<", "\n", "://"])
def test_the_longest_note_stays_short_and_says_so(character: str) -> None:
    text = render(all_of(character * 3000, 40))
    assert len(text) < 20000
    assert "not shown here" in text


def test_equal_notes_give_equal_text() -> None:
    assert render(NOTE) == render(replace(NOTE))
