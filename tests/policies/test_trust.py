"""What a change of policies/trust.yml must keep."""

import pytest

from factory.errors import InvalidInput
from factory.policies import read, trust
from factory.policies.model import EnrolledKey, PinnedLog, Policies, TrustRoot
from tests.policies.shipped import FILES

KEY, OTHER = "a" * 64, "b" * 64
ROOT = TrustRoot(
    origin="log",
    pinned=PinnedLog(size=5, root="1" * 64),
    keys={
        "laptop": EnrolledKey(key=KEY, since=0, until=9),
        "tower": EnrolledKey(key=OTHER, since=4, replaces="laptop"),
    },
)


def with_key(name: str, **changes: object) -> TrustRoot:
    return ROOT.model_copy(update={"keys": {**ROOT.keys, name: ROOT.keys[name].model_copy(update=changes)}})


@pytest.mark.parametrize(
    "after",
    [
        ROOT,
        with_key("laptop", until=8),
        with_key("tower", until=12),
        ROOT.model_copy(update={"keys": {**ROOT.keys, "phone": EnrolledKey(key="c" * 64, since=0)}}),
    ],
)
def test_keys_are_added_and_end_earlier(after: TrustRoot) -> None:
    assert list(trust.lost(ROOT, after)) == []
    assert list(trust.lost(None, after)) == []


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (None, "the file is removed"),
        (ROOT.model_copy(update={"origin": "other"}), "the log's name changes"),
        (ROOT.model_copy(update={"separation": "none"}), "the separation changes from apart to none"),
        (ROOT.model_copy(update={"pinned": PinnedLog(size=3, root="0" * 64)}), "no longer pinned at 5"),
        (ROOT.model_copy(update={"pinned": None}), "no longer pinned at 5"),
        (ROOT.model_copy(update={"keys": {"tower": ROOT.keys["tower"]}}), "the key laptop is removed"),
        (with_key("laptop", until=10), "gets a later end"),
        (with_key("laptop", until=None), "gets a later end"),
        (with_key("laptop", since=1), "the key laptop changes"),
        (with_key("laptop", key="c" * 64), "the key laptop changes"),
        (with_key("laptop", kinds=("claim",)), "the key laptop changes"),
        (with_key("tower", replaces=None), "the key tower changes"),
    ],
)
def test_what_would_lose_the_past_is_told(after: TrustRoot | None, told: str) -> None:
    assert told in "; ".join(trust.lost(ROOT, after))


def policies(text: str) -> Policies:
    return read.read(FILES | {trust.PATH: text.encode()})


def test_the_file_may_be_absent_and_counts_in_the_digest() -> None:
    assert read.read(FILES).trust is None
    found = policies(f"origin: log\nkeys:\n  laptop: {{key: {KEY}, since: 0}}\n")
    assert found.trust is not None
    assert found.digest != read.read(FILES).digest


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (f"{{laptop: {{key: {KEY}, since: 0, replaces: tower}}}}", "keys.laptop.replaces: there is no key 'tower'"),
        (f"{{a: {{key: {KEY}, since: 0}}, b: {{key: {KEY}, since: 1}}}}", "keys.b.key: the key a has the same value"),
        (f"{{a: {{key: {KEY[1:]}, since: 0}}}}", "keys.a.key"),
        (f"{{a: {{key: {KEY}, sinse: 0}}}}", "did you mean since?"),
        (f"{{a: {{key: {KEY}, since: 0, replaces: a}}}}", "keys.a.replaces: the key would take over from itself"),
        (
            f"{{a: {{key: {KEY}, since: 0, replaces: b}}, b: {{key: {OTHER}, since: 0, replaces: a}}}}",
            "keys.a.replaces: the key would take over from itself",
        ),
        ("{}", "keys"),
    ],
)
def test_a_mistake_is_told_with_its_place(keys: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=r"trust\.yml:2") as raised:
        policies(f"origin: log\nkeys: {keys}\n")
    assert told in str(raised.value)
