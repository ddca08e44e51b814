import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.errors import Conflict, EvidenceInvalid, InvalidInput, Refused
from factory.evidence import merkle_tree, sign, statement, transparency_log
from factory.evidence.checkpoint import VerifierKey, open_checkpoint
from factory.evidence.trust import Trust
from factory.evidence.verify import verify
from factory.host import runnable
from factory.system import canonical
from tests.evidence.examples import ORIGIN, STEPS, digest, make, recorded, report, signer, statements, trust


def append(tree: dict[str, bytes], values: Sequence[dict[str, object]]) -> dict[str, bytes | None]:
    return transparency_log.append(tree, values, signer=signer(), trust=trust())


def test_the_first_statement_makes_the_tree() -> None:
    tree = recorded([make("claim")])
    key = canonical.digest(b"claim/7/12")[7:19]
    assert sorted(tree) == [
        "checkpoint",
        f"statements/00000000-claim-{key}.json",
        "tile/0/000.p/1",
        "tile/entries/000.p/1",
    ]
    envelope = tree[f"statements/00000000-claim-{key}.json"]
    assert canonical.encode(json.loads(envelope)) == envelope
    assert tree["tile/entries/000.p/1"] == b"\x00\x47" + canonical.digest(envelope).encode()
    assert open_checkpoint(tree["checkpoint"], VerifierKey(ORIGIN, signer().public)).size == 1


def test_append_returns_only_what_changes() -> None:
    tree = recorded(statements()[:4])
    changes = append(tree, statements()[4:5])
    [path] = [path for path in changes if path.startswith("statements/")]
    assert path.startswith("statements/00000004-approval-")
    assert {path: data is None for path, data in changes.items()} == {
        path: False,
        "checkpoint": False,
        "tile/0/000.p/4": True,
        "tile/0/000.p/5": False,
        "tile/entries/000.p/4": True,
        "tile/entries/000.p/5": False,
    }


def test_a_fact_is_recorded_once() -> None:
    tree = recorded(statements())
    later = [make(step, {"time": "2026-11-21T08:00:00Z"}) for step in STEPS]
    assert append(tree, later) == {}
    assert append(tree, []) == {}
    assert len(transparency_log.read(recorded([*statements(), *later]))) == len(STEPS)


def test_statements_of_earlier_versions_verify_and_are_not_recorded_again() -> None:
    old = [{**value, "predicateType": statement.EARLIER[statement.kind_of(value)]} for value in statements()]
    tree = recorded(old)
    assert report(tree, trust()).findings == ()
    assert append(tree, statements()) == {}


def test_a_plan_that_was_recorded_without_its_releases_is_not_recorded_again() -> None:
    made = make("plan")
    named = {**statement.subjects_of(made), **runnable.subjects(made["predicate"]["commit"], [("shop", digest("a"))])}
    again = statement.build("plan", subjects=named, predicate=made["predicate"])
    assert append(recorded([made]), [again]) == {}


def test_another_fact_under_the_same_key_is_a_conflict() -> None:
    tree = recorded(statements())
    with pytest.raises(Conflict, match="'claim/7/12'"):
        append(tree, [make("claim", {"author": "somebody"})])
    with pytest.raises(Conflict):
        append(tree, [make("merge", key="claim/7/12")])
    with pytest.raises(Conflict):
        append({}, [make("claim"), make("claim", {"author": "somebody"})])


def test_the_same_predicate_about_other_subjects_is_a_conflict() -> None:
    other = make("claim")
    other["subject"][0]["digest"]["sha256"] = digest("edited issue")[7:]
    with pytest.raises(Conflict):
        append(recorded([make("claim")]), [other])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=5))
def test_appending_in_steps_gives_the_same_tree_as_at_once(steps: list[int]) -> None:
    values = [make(STEPS[i % 10], issue=i, key=f"key/{i}") for i in range(sum(steps))]
    tree: dict[str, bytes] = {}
    for step in steps:
        start = len(transparency_log.read(tree))
        tree = transparency_log.updated(tree, append(tree, values[start : start + step]))
    assert tree == recorded(values)
    assert [entry.statement for entry in transparency_log.read(tree)] == values


def test_a_log_grows_past_a_full_tile() -> None:
    values = [make("claim", key=f"claim/{number}") for number in range(260)]
    tree = recorded(values[:255])
    for value in values[255:]:
        tree = transparency_log.updated(tree, append(tree, [value]))
    assert {path for path in tree if path.startswith("tile/")} == {
        "tile/0/000",
        "tile/0/001.p/4",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/4",
    }
    assert verify(tree, trust=trust(), merge_request=None).passed


def test_read_returns_the_entries_in_order() -> None:
    entries = transparency_log.read(recorded(statements()))
    assert [entry.index for entry in entries] == list(range(len(STEPS)))
    assert [entry.kind for entry in entries] == [step.rsplit(maxsplit=1)[-1] for step in STEPS]
    assert entries[0].key == "claim/7/12"
    assert entries[0].predicate["session"] == "s-7"
    assert canonical.digest_of(entries[0].envelope) == entries[0].digest
    assert transparency_log.read({}) == []


def test_a_malformed_statement_is_not_recorded() -> None:
    with pytest.raises(InvalidInput):
        append({}, [{**make("claim"), "extra": 1}])


def test_a_damaged_tree_is_not_signed_again() -> None:
    tree = recorded(statements()[:3])
    statement_path = next(path for path in tree if path.startswith("statements/"))
    for path in ("checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3", statement_path):
        with pytest.raises(EvidenceInvalid):
            append(transparency_log.updated(tree, {path: None}), [make("merge")])
    for path in ("checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"):
        broken = tree[path][:-2] + bytes([tree[path][-2] ^ 1]) + tree[path][-1:]
        with pytest.raises(EvidenceInvalid):
            append({**tree, path: broken}, [make("merge")])
    with pytest.raises(EvidenceInvalid):
        append({**tree, "statements/extra": b""}, [make("merge")])


def test_entries_and_tiles_altered_alike_are_not_signed_again() -> None:
    tree = recorded(statements()[:3])
    other = transparency_log.updated({}, merkle_tree.grow({}, 0, [b"a", b"b", b"c"]))
    with pytest.raises(EvidenceInvalid, match="checkpoint's root"):
        append({**tree, **other}, [make("merge")])


def test_another_signer_or_origin_does_not_continue_the_log() -> None:
    tree = recorded(statements()[:3])
    stranger = signer("stranger")
    with pytest.raises(Refused):
        transparency_log.append(tree, [make("merge")], signer=stranger, trust=trust())
    for other in (Trust.of(stranger.public, origin=ORIGIN, agent_account="a"), trust(origin="factory.example/other")):
        with pytest.raises(EvidenceInvalid):
            transparency_log.append(tree, [make("merge")], signer=stranger, trust=other)


def test_reading_refuses_what_is_not_a_statement_at_its_place() -> None:
    tree = recorded([make("claim")])
    path = next(path for path in tree if path.startswith("statements/"))
    for damaged in (
        {path: b"{}"},
        {path: b"nothing"},
        {path: tree[path] + b" "},
        {path: b"[]"},
        {path: canonical.encode(sign.seal(b"text", signer()))},
        {path.replace("00000000", "00000001"): tree[path]},
        {path.replace("claim", "merge"): tree[path]},
        {"statements/readme": tree[path]},
    ):
        with pytest.raises(EvidenceInvalid):
            transparency_log.read(damaged)
