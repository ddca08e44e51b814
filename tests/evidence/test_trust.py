from typing import Any

import pytest

from factory.errors import InvalidInput
from factory.evidence.trust import Trust
from tests.evidence.examples import recorded, signer, statements, trust

VALUE = trust(previous_checkpoint=recorded(statements())["checkpoint"]).to_json()


def test_a_trust_root_reads_back() -> None:
    assert Trust.from_json(VALUE).to_json() == VALUE
    assert Trust.from_json({**VALUE, "previous_checkpoint": None}) == trust()
    assert Trust.from_json({name: item for name, item in VALUE.items() if name != "previous_checkpoint"}) == trust()


@pytest.mark.parametrize("name", ["keys", "log_key", "agent_account", "simulated_approvals"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"lacks the field '{name}'"):
        Trust.from_json({field: item for field, item in VALUE.items() if field != name})


@pytest.mark.parametrize(
    "changes",
    [
        {"simulated_aprovals": True},
        {"simulated_approvals": "yes"},
        {"simulated_approvals": 1},
        {"agent_account": ""},
        {"agent_account": None},
        {"log_key": "factory.example/shop"},
        {"log_key": None},
        {"keys": {}},
        {"keys": []},
        {"keys": {signer().keyid: None}},
        {"keys": {signer().keyid: "00"}},
        {"keys": {signer().keyid: signer("stranger").public}},
        {"previous_checkpoint": 3},
    ],
)
def test_an_ill_formed_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Trust.from_json({**VALUE, **changes})


def test_only_an_object_is_a_trust_root() -> None:
    with pytest.raises(InvalidInput):
        Trust.from_json([])
