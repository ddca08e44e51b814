import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from factory.errors import EvidenceInvalid, InvalidInput, Refused
from factory.evidence import transparency_log
from factory.evidence.checkpoint import VerifierKey
from factory.evidence.kinds import DESCRIPTIONS
from factory.evidence.trust import Pin, Trust, TrustedKey
from factory.evidence.verify import VerifyReport
from factory.system import canonical
from tests.evidence import examples
from tests.evidence.examples import ORIGIN, make, recorded, signer, statements, trust

OLD, NEW, STRANGER = signer(), signer("laptop"), signer("stranger")
VALUE = json.loads(trust(previous_checkpoint=recorded(statements())["checkpoint"]).write())
LOG_KEY = VerifierKey(ORIGIN, OLD.public).text


def read(value: object) -> Trust:
    return Trust.read(json.dumps(value).encode(), source="trust.json")


def test_a_trust_root_reads_back() -> None:
    assert json.loads(read(VALUE).write()) == VALUE
    assert read({**VALUE, "previous_checkpoint": None}) == trust()
    assert read({name: item for name, item in VALUE.items() if name != "previous_checkpoint"}) == trust()


def test_a_host_is_of_its_environments_or_of_all() -> None:
    hosts = {"box": {"public": "a" * 64, "environments": ["production"]}, "embedded": {"public": "b" * 64}}
    found = read({**VALUE, "hosts": hosts})
    assert found.hosts_of("production") == {"box": "a" * 64, "embedded": "b" * 64}
    assert found.hosts_of("staging") == {"embedded": "b" * 64}
    assert read(json.loads(found.write())).hosts == found.hosts


def test_a_trust_root_of_an_earlier_version_is_the_same() -> None:
    old = {"keys": {OLD.keyid: OLD.public}, "log_key": LOG_KEY, "agent_account": "factory-agent"}
    assert read({**old, "simulated_approvals": False}) == trust()
    log = {**old, "log_key": VerifierKey(ORIGIN, STRANGER.public).text, "simulated_approvals": False}
    assert not read(log).keys[OLD.keyid].signs("checkpoint")
    assert read(log).keys[STRANGER.keyid].kinds == ("checkpoint",)


@pytest.mark.parametrize("name", ["keys", "origin", "agent_accounts", "simulated_approvals"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        read({field: item for field, item in VALUE.items() if field != name})


@pytest.mark.parametrize(
    "changes",
    [
        {"simulated_aprovals": True},
        {"simulated_approvals": "yes"},
        {"simulated_approvals": 1},
        {"agent_accounts": [""]},
        {"agent_accounts": None},
        {"agent_account": "a second one"},
        {"origin": ""},
        {"log_key": LOG_KEY},
        {"log_key": "factory.example/shop", "origin": ""},
        {"separation": "some"},
        {"keys": {}},
        {"keys": []},
        {"keys": {OLD.keyid: None}},
        {"keys": {OLD.keyid: "00"}},
        {"keys": {OLD.keyid: STRANGER.public}},
        {"keys": {OLD.keyid: {"public": OLD.public, "kinds": ["clam"]}}},
        {"keys": {OLD.keyid: {"public": OLD.public, "replaces": NEW.keyid}}},
        {"keys": {OLD.keyid: {"public": OLD.public, "untill": 3}}},
        {"previous_checkpoint": 3},
    ],
)
def test_an_ill_formed_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        read({**VALUE, **changes})


def test_only_an_object_is_a_trust_root() -> None:
    for text in (b"[]", b"", b"{", b'{"origin": 1, "origin": 2}'):
        with pytest.raises(InvalidInput):
            Trust.read(text, source="trust.json")


def two(old: dict[str, Any] | None = None, **new: Any) -> Trust:
    """Return a trust root with two machines' keys."""
    return trust(
        keys={
            OLD.keyid: TrustedKey(OLD.public, "old", **(old or {})),
            NEW.keyid: TrustedKey(NEW.public, "new", **new),
        }
    )


def log(*parts: tuple[Any, int], rooted: Trust) -> dict[str, bytes]:
    """Return the log in which each signer appended until the log had that size."""
    tree: dict[str, bytes] = {}
    for who, size in parts:
        fresh = statements()[:size]
        tree = transparency_log.updated(tree, transparency_log.append(tree, fresh, signer=who, trust=rooted))
    return tree


def report(tree: dict[str, bytes], rooted: Trust) -> VerifyReport:
    return examples.report(tree, rooted)


def test_two_machines_record_in_one_log() -> None:
    tree = log((OLD, 3), (NEW, 5), (OLD, 10), rooted=two(since=2))
    assert report(tree, two(since=2)).complete
    assert report(tree, two(since=3)).passed


@pytest.mark.parametrize(
    ("rooted", "index"),
    [
        (two({"until": 2}), 2),
        (two(since=4), 3),
        (two(until=4), 4),
        (two(kinds=("claim", "checkpoint")), 3),
        (two(replaces=OLD.keyid), None),
        (two({"since": 1}), 0),
    ],
)
def test_what_a_key_signed_outside_its_part_is_void(rooted: Trust, index: int | None) -> None:
    found = report(log((OLD, 3), (NEW, 5), (OLD, 6), rooted=two()), rooted)
    place = 5 if index is None else index
    assert any(notice.startswith(f"statement {place} is void") for notice in found.notices)
    assert place not in {check.statement for check in found.checks if check.rule.startswith("EV-CHAIN")}


def test_a_forged_history_does_not_continue_the_pinned_one() -> None:
    tree = log((OLD, 5), rooted=two())
    pin = Pin(4, transparency_log.root_at(tree, 4))
    ended = replace(two({"until": 5}, since=5), pinned=pin)
    assert report(tree, ended).passed
    forged = transparency_log.updated(
        {}, transparency_log.append({}, [make("claim", issue=6, mr=66)], signer=OLD, trust=two())
    )
    assert {check.rule for check in report(forged, ended).findings} == {"EV-LOG-CONSISTENCY"}
    with pytest.raises(EvidenceInvalid, match="pins"):
        transparency_log.append(forged, statements()[5:6], signer=NEW, trust=ended)


def test_a_statement_of_an_ended_key_stops_nobody() -> None:
    tree = log((OLD, 6), rooted=two())
    ended = two({"until": 5}, since=5)
    assert {check.rule for check in report(tree, ended).findings} == {"EV-LOG-SIG"}
    fresh = statements()[5:7]
    tree = transparency_log.updated(tree, transparency_log.append(tree, fresh, signer=NEW, trust=ended))
    assert report(tree, ended).passed, "what was void is recorded again by a key that may"
    assert len(transparency_log.valid(tree, ended)) == 7


def test_each_statement_of_an_append_must_be_allowed() -> None:
    tree = log((OLD, 5), rooted=two())
    for rooted in (two({"until": 6}), two({"kinds": ("claim", "checkpoint")})):
        with pytest.raises(Refused, match="may not sign statement"):
            transparency_log.append(tree, statements()[5:8], signer=OLD, trust=rooted)


def test_a_signature_that_does_not_hold_ends_no_key() -> None:
    rooted = two(since=2, replaces=OLD.keyid)
    tree = log((OLD, 4), rooted=rooted)
    path = next(path for path in tree if path.startswith("statements/00000003"))
    envelope = json.loads(tree[path])
    envelope["signatures"].append({"keyid": NEW.keyid, "sig": base64.b64encode(bytes(64)).decode()})
    changed = {**tree, path: canonical.encode(envelope)}
    with pytest.raises(EvidenceInvalid, match="statements do not match"):
        transparency_log.append(changed, statements()[4:5], signer=OLD, trust=rooted)


def test_a_key_ends_with_the_first_statement_of_the_key_that_replaces_it() -> None:
    rooted = two(since=2, replaces=OLD.keyid)
    tree = log((OLD, 3), (NEW, 5), rooted=rooted)
    assert report(tree, rooted).passed
    with pytest.raises(Refused, match="old may not sign statement 5"):
        transparency_log.append(tree, statements()[5:6], signer=OLD, trust=rooted)


def test_a_checkpoint_of_a_key_that_had_ended_is_a_finding() -> None:
    tree = log((OLD, 5), rooted=two())
    ended = two({"until": 3})
    assert {check.rule for check in report(tree, ended).findings} == {"EV-LOG-SIG"}
    with pytest.raises(EvidenceInvalid, match="old may not sign a log of 5"):
        ended.open_checkpoint(tree["checkpoint"])
    assert report(log((OLD, 3), rooted=two()), ended).passed, "what it signed before stays valid"


@pytest.mark.parametrize("rooted", [trust(), two(kinds=tuple(DESCRIPTIONS))])
def test_a_machine_without_an_enrolled_key_records_nothing(rooted: Trust) -> None:
    tree = log((OLD, 3), rooted=rooted)
    with pytest.raises(Refused, match="may not record"):
        transparency_log.append(tree, statements()[3:4], signer=NEW, trust=rooted)
    with pytest.raises(Refused, match="new may not sign statement 3"):
        transparency_log.append(tree, statements()[3:4], signer=NEW, trust=two(until=3))


def test_an_earlier_checkpoint_by_another_key_is_continued() -> None:
    rooted = two()
    old = log((OLD, 3), rooted=rooted)
    tree = log((OLD, 3), (NEW, 5), rooted=rooted)
    assert report(tree, replace(rooted, previous_checkpoint=old["checkpoint"])).passed
    assert not report(old, replace(rooted, previous_checkpoint=tree["checkpoint"])).passed
