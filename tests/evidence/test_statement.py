import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import predicates, statement
from factory.evidence.kinds import DESCRIPTIONS
from factory.system import canonical
from tests.evidence.examples import STEPS, commit, digest, make, subjects

CLAIM = make("claim")


def test_a_statement_has_the_form_of_in_toto() -> None:
    assert CLAIM["_type"] == "https://in-toto.io/Statement/v1"
    assert CLAIM["predicateType"] == "urn:factory:predicate:claim:v1"
    assert CLAIM["subject"] == [{"name": "issue/7", "digest": {"sha256": digest("issue")[7:]}}]


def test_subjects_are_sorted_by_name_and_carry_git_commits() -> None:
    merge = make("merge")
    assert [subject["name"] for subject in merge["subject"]] == ["head", "merge_commit"]
    assert merge["subject"][0]["digest"] == {"gitCommit": commit("head 12")}


@pytest.mark.parametrize("step", STEPS)
def test_every_kind_reads_back_from_its_canonical_bytes(step: str) -> None:
    value = make(step)
    assert statement.parse(statement.encode(value)) == value
    assert statement.kind_of(value) == step.rsplit(maxsplit=1)[-1]


@pytest.mark.parametrize("step", STEPS)
def test_every_field_of_every_kind_is_required_and_typed(step: str) -> None:
    value = make(step)
    kind = statement.kind_of(value)
    for name in value["predicate"]:
        bare = {field: item for field, item in value["predicate"].items() if field != name}
        with pytest.raises(InvalidInput, match=f"lacks the field '{name}'"):
            statement.build(kind, subjects=statement.subjects_of(value), predicate=bare)
        with pytest.raises(InvalidInput):
            statement.build(kind, subjects=statement.subjects_of(value), predicate={**bare, name: 1.5})
    with pytest.raises(InvalidInput, match="unknown field 'colour'"):
        statement.build(
            kind, subjects=statement.subjects_of(value), predicate={**value["predicate"], "colour": "green"}
        )


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        ("claim", "key", ""),
        ("claim", "key", " "),
        ("claim", "issue", True),
        ("claim", "issue", -1),
        ("claim", "issue", 2**53),
        ("claim", "time", "2026-11-20T16:00:00+00:00"),
        ("claim", "time", "2026-13-20T16:00:00Z"),
        ("claim", "time", "2026-11-20"),
        ("claim", "author", "\ud800"),
        ("claim", "lease", {"branch": "b", "commit": commit("c")}),
        ("claim", "lease", {"branch": "b", "commit": commit("c"), "token": "1"}),
        ("claim", "lease", []),
        ("attempt", "usage", {"tokens": 1.0}),
        ("attempt", "usage", {"Tokens": 1}),
        ("attempt", "usage", {1: 1}),
        ("attempt", "usage", []),
        ("attempt", "checks", {}),
        ("attempt", "checks", [{"gate": "scope", "result": "green"}]),
        ("attempt", "base", commit("c").upper()),
        ("verdict", "result", "skipped"),
        ("verdict", "policy", commit("c")),
        ("verdict", "gates", [{"name": "scope", "result": "passed", "findings": -1}]),
        ("merge approval", "scope", "both"),
        ("merge approval", "approval_type", "robot"),
        ("apply", "result", "probably"),
        ("apply", "replan_empty", 1),
        ("deploy", "verified", None),
    ],
)
def test_an_ill_formed_field_is_named(step: str, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"must|lacks|malformed|canonical"):
        make(step, {field: value})


@pytest.mark.parametrize("subjects", [{}, {"issue/7": "sha256:00"}, {"issue/7": None}, {"": digest("x")}, {7: "x"}])
def test_ill_formed_subjects_are_refused(subjects: Any) -> None:
    with pytest.raises(InvalidInput):
        statement.build("claim", subjects=subjects, predicate=CLAIM["predicate"])


@pytest.mark.parametrize(
    "text", ["gitCommit:" + "A" * 40, "gitCommit:" + "a" * 39, "sha256:" + "g" * 64, "sha1:" + "a" * 40, "a" * 64]
)
def test_an_ill_formed_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="must be sha256"):
        statement.build("claim", subjects={"issue/7": digest("x"), "y": text}, predicate=CLAIM["predicate"])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="use one of claim, attempt"):
        statement.build("gossip", subjects={"x": digest("x")}, predicate={})


@pytest.mark.parametrize(
    ("step", "left_out"),
    [
        ("claim", "issue/7"),
        ("attempt", "brief"),
        ("attempt", "transcript"),
        ("attempt", "head"),
        ("verdict", "head"),
        ("verdict", "v"),
        ("merge approval", "head"),
        ("merge approval", "plan"),
        ("merge", "merge_commit"),
        ("plan", "manifest"),
        ("plan", "plan_file"),
        ("apply", "commit"),
        ("deploy", "commit"),
    ],
)
def test_the_predicate_speaks_only_of_its_subjects(step: str, left_out: str) -> None:
    value = make(step)
    named = {**statement.subjects_of(value), "other": "gitCommit:" + "0" * 40}
    del named[left_out]
    with pytest.raises(InvalidInput, match="must name"):
        statement.build(statement.kind_of(value), subjects=named, predicate=value["predicate"])


def test_an_attempt_without_a_commit_needs_no_commit() -> None:
    assert make("attempt", {"head": None})["predicate"]["head"] is None


def test_the_statement_shares_nothing_with_the_values_it_was_built_from() -> None:
    predicate = copy.deepcopy(make("attempt")["predicate"])
    value = statement.build("attempt", subjects=subjects("attempt", predicate), predicate=predicate)
    predicate["usage"]["input_tokens"] = 0
    assert value["predicate"]["usage"]["input_tokens"] == 1200


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"1" * 5000,
        json.dumps(CLAIM).encode(),
        statement.encode(CLAIM) + b"\n",
        statement.encode(CLAIM).decode().encode("utf-16"),
        statement.encode(CLAIM).replace(b'"token":1', b'"token":1.0'),
        statement.encode(CLAIM).replace(b'"token":1', b'"token":1,"token":1'),
        canonical.encode({**CLAIM, "extra": 1}),
        canonical.encode({**CLAIM, "_type": "https://in-toto.io/Statement/v0.1"}),
        canonical.encode({**CLAIM, "predicateType": "https://example.com/other"}),
        canonical.encode({**CLAIM, "predicate": None}),
        canonical.encode({**CLAIM, "subject": None}),
        canonical.encode({**CLAIM, "subject": []}),
        canonical.encode({**CLAIM, "subject": [1]}),
        canonical.encode({**CLAIM, "subject": CLAIM["subject"] * 2}),
        canonical.encode({**CLAIM, "subject": [{**CLAIM["subject"][0], "digest": {}}]}),
        canonical.encode({**CLAIM, "subject": [{**CLAIM["subject"][0], "uri": "x"}]}),
        canonical.encode({name: item for name, item in CLAIM.items() if name != "predicate"}),
    ],
)
def test_any_other_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        statement.parse(payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(STEPS), st.data())
def test_whatever_is_built_is_canonical_or_refused(step: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(make(step)["predicate"])))
    try:
        value = make(step, {field: data.draw(_JSON)})
    except InvalidInput:
        return
    assert statement.parse(statement.encode(value)) == value


def test_the_reference_knows_every_kind() -> None:
    assert DESCRIPTIONS.keys() == statement.KINDS.keys()
    assert all(predicates.fields(kind) for kind in DESCRIPTIONS)
