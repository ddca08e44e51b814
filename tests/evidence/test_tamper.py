"""Whoever may write the branch, but holds no key, changes something: verify must fail each time."""

from collections.abc import Iterator

import pytest

from factory.evidence import merkle_tree, sign, transparency_log
from factory.evidence.checkpoint import Checkpoint, sign_checkpoint, sign_note
from factory.evidence.trust import Trust
from factory.evidence.verify import VerifyReport
from factory.system import canonical
from tests.evidence import examples
from tests.evidence.examples import ORIGIN, make, recorded, signer, statements, trust

TREE = recorded(statements())
FILES = sorted(TREE)
STATEMENTS = [path for path in FILES if path.startswith("statements/")]
# 280 statements give full and partial tiles on two levels.
LONG = recorded(make("claim", key=f"claim/{number}") for number in range(280))
FLIPS_PER_FILE = 350


def report(tree: dict[str, bytes]) -> VerifyReport:
    return examples.report(tree)


def flipped(data: bytes, position: int) -> bytes:
    # The bit changes with the position, so that letter case, digits and padding are all met.
    return data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :]


def positions(data: bytes, count: int) -> Iterator[int]:
    """Spread ``count`` positions over the data, or name them all; the last byte is always among them."""
    step = max(1, len(data) // count)
    yield from range(len(data) - 1, -1, -step)


def relaid(statement_files: dict[str, bytes]) -> dict[str, bytes]:
    """Lay the statement files out as a log again, as somebody without the log's key could."""
    digests = [canonical.digest(statement_files[path]).encode() for path in sorted(statement_files)]
    return {
        **statement_files,
        **transparency_log.updated({}, merkle_tree.grow({}, 0, digests)),
        "checkpoint": TREE["checkpoint"],
    }


def test_the_trees_pass_untouched() -> None:
    assert report(TREE).passed
    assert report(LONG).passed
    assert sum(len(list(positions(data, FLIPS_PER_FILE))) for data in TREE.values()) >= 3000


@pytest.mark.matrix(2)
@pytest.mark.parametrize("path", FILES)
def test_no_flipped_bit_passes(path: str) -> None:
    for position in positions(TREE[path], FLIPS_PER_FILE):
        assert not report({**TREE, path: flipped(TREE[path], position)}).passed, position


@pytest.mark.matrix(3)
@pytest.mark.parametrize("path", sorted(path for path in LONG if not path.startswith("statements/")))
def test_no_flipped_bit_of_a_long_log_passes(path: str) -> None:
    for position in positions(LONG[path], 6):
        assert not report({**LONG, path: flipped(LONG[path], position)}).passed, position


@pytest.mark.parametrize("path", FILES)
def test_no_file_can_be_removed_emptied_cut_or_lengthened(path: str) -> None:
    data = TREE[path]
    assert not report(transparency_log.updated(TREE, {path: None})).passed
    for other in (b"", data[:-1], data[1:], data + b"\n", data + b"\x00", data + data):
        assert not report({**TREE, path: other}).passed


@pytest.mark.parametrize("path", FILES)
def test_no_file_can_be_renamed_or_duplicated(path: str) -> None:
    names = [path + "x", "x" + path, path.upper(), path.replace("000", "001", 1), "statements/" + path]
    if path in STATEMENTS:
        index = int(path[11:19])
        names += [path.replace(path[11:19], f"{other:08}") for other in (index + 1, 10, 99_999_999)]
        names += [path[:20] + "verdict-" + path[-17:], path[:-17] + "0" * 12 + ".json"]
    for name in {name for name in names if name != path}:
        assert not report({**TREE, name: TREE[path]}).passed, name
        assert not report(transparency_log.updated({**TREE, name: TREE[path]}, {path: None})).passed, name


def test_no_two_files_can_be_swapped() -> None:
    for first in FILES:
        for second in FILES:
            if first < second:
                assert not report({**TREE, first: TREE[second], second: TREE[first]}).passed


@pytest.mark.parametrize("kept", range(len(STATEMENTS)))
def test_the_log_cannot_be_cut_short(kept: int) -> None:
    assert not report(relaid({path: TREE[path] for path in STATEMENTS[:kept]})).passed


def test_a_log_cut_back_to_an_old_checkpoint_fails_against_a_kept_one() -> None:
    old = recorded(statements()[:4])
    assert report(old).passed
    assert not report(old).complete
    kept = trust(previous_checkpoint=TREE["checkpoint"])
    assert not examples.report(old, kept).passed


def test_statements_cannot_be_replaced_with_a_key_that_is_not_trusted() -> None:
    forged = recorded(statements(), by="stranger")
    assert {check.rule for check in report(forged).findings} >= {"EV-SIG", "EV-LOG-SIG"}
    for path in STATEMENTS:
        assert not report({**TREE, path: forged[path]}).passed
        assert not report(relaid({name: TREE[name] for name in STATEMENTS} | {path: forged[path]})).passed


def test_a_signature_cannot_be_added_to_a_statement() -> None:
    stranger = signer("stranger")
    for path in STATEMENTS:
        envelope = transparency_log.decode_envelope(TREE[path])
        extra = sign.seal(sign.payload_of(envelope), stranger)["signatures"]
        both = canonical.encode({**envelope, "signatures": envelope["signatures"] + extra})
        assert not report(relaid({name: TREE[name] for name in STATEMENTS} | {path: both})).passed


def test_a_signature_cannot_be_added_to_the_checkpoint() -> None:
    text = TREE["checkpoint"].decode().rpartition("\n\n")[0] + "\n"
    extra = sign_note(text, name="witness", signer=signer("stranger")).decode().splitlines(keepends=True)[-1]
    assert {check.rule for check in report({**TREE, "checkpoint": TREE["checkpoint"] + extra.encode()}).findings} == {
        "EV-LOG-SIG"
    }


def test_a_checkpoint_by_another_key_under_the_log_s_name_does_not_pass() -> None:
    head = Checkpoint(ORIGIN, len(STATEMENTS), bytes.fromhex(report(TREE).root))
    assert sign_checkpoint(head, signer()) == TREE["checkpoint"]
    assert not report({**TREE, "checkpoint": sign_checkpoint(head, signer("stranger"))}).passed


def test_a_file_beside_the_log_is_a_finding() -> None:
    for path in ("README.md", "tile/0/001", "tile/0/000.p/9", "tile/entries/000", "statements/x.json", ""):
        assert [check.rule for check in report({**TREE, path: b""}).findings] == ["EV-FILE"], path


def test_the_recorder_s_own_key_cannot_record_a_key_twice() -> None:
    again = canonical.encode(
        sign.seal(sign.payload_of(transparency_log.decode_envelope(TREE[STATEMENTS[0]])), signer())
    )
    files = {path: TREE[path] for path in STATEMENTS}
    files[STATEMENTS[0].replace("00000000", "00000010")] = again
    tree = relaid(files)
    leaves = [merkle_tree.leaf_hash(canonical.digest(files[path]).encode()) for path in sorted(files)]
    tree["checkpoint"] = sign_checkpoint(Checkpoint(ORIGIN, 11, merkle_tree.root(leaves)), signer())
    assert [check.rule for check in report(tree).findings] == ["EV-KEY"]


def test_an_approval_cannot_be_replayed_for_another_head_plan_or_merge_request() -> None:
    other = make("merge approval", issue=8, mr=13, key="approval/13")
    moved = make("deploy approval", {"merge_request": 12, "issue": 7}, issue=8, mr=13, key="approval/14")
    for step, value in (("merge approval", other), ("deploy approval", other), ("deploy approval", moved)):
        values = statements({step: None})
        values.insert(4, value)
        assert not report(recorded(values)).passed


def test_the_wrong_log_key_opens_nothing() -> None:
    wrong = Trust.of(signer("stranger").public, origin=ORIGIN, agent_account="factory-agent")
    assert not examples.report(TREE, wrong).passed
