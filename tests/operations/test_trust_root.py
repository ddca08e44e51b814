"""The trust root of a project, read from its policies."""

from dataclasses import replace

import pytest

from factory.errors import InvalidInput
from factory.evidence.trust import TrustedHost
from factory.operations import trust_root
from factory.policies.model import EnrolledKey, TrustRoot
from tests.evidence import examples


def root(**more: object) -> TrustRoot:
    key = EnrolledKey(key=examples.signer().public, since=0, **more)  # type: ignore[arg-type]
    return TrustRoot(origin=examples.ORIGIN, separation="apart", keys={"laptop": key})


def test_a_key_may_be_limited_to_known_kinds() -> None:
    (key,) = trust_root.keys_of(root(kinds=("apply", "checkpoint"))).values()
    assert key.kinds == ("apply", "checkpoint")


def test_the_hosts_of_the_policies_stand_beside_the_instances_own() -> None:
    own = replace(examples.trust(), hosts={"embedded": TrustedHost("b" * 64)})
    enrolled = trust_root.with_host(root(), "box", "a" * 64, ["production"])
    assert trust_root.trusted(own, enrolled).hosts_of("production") == {"embedded": "b" * 64, "box": "a" * 64}
    assert trust_root.trusted(own, None).hosts_of("production") == {"embedded": "b" * 64}


@pytest.mark.parametrize("kind", ["aply", "", "Apply", "checkpoints"])
def test_an_unknown_kind_is_refused_with_its_place(kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"keys\.laptop\.kinds: there is no kind"):
        trust_root.keys_of(root(kinds=(kind,)))
