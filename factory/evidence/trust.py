"""Whom a verifier trusts: the root that comes from outside the evidence, never out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from factory.errors import InvalidInput
from factory.evidence import sign
from factory.evidence.checkpoint import VerifierKey

_REQUIRED = ("keys", "log_key", "agent_account", "simulated_approvals")
_OPTIONAL = ("previous_checkpoint", "separation")
# Whose accounts are apart: the agent's from the factory's and every person's; the person's from the one that both the
# factory and its agent have; nobody's.
APART, SHARED, ALONE = "apart", "two accounts", "none"


@dataclass(frozen=True)
class Trust:
    """The keys and accounts that evidence is judged by.

    ``keys`` maps the id of each statement key to its public key in hex; ``log_key`` names the log (its origin) and
    the key of its checkpoints; ``previous_checkpoint`` is a signed checkpoint that a verifier kept from before.
    ``separation`` says which accounts are different people's or programs': what rests on a difference that is not there
    cannot be held.
    """

    keys: Mapping[str, str]
    log_key: VerifierKey
    agent_account: str
    simulated_approvals: bool = False
    previous_checkpoint: bytes | None = None
    separation: str = APART

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the trust that a JSON object describes; raises ``InvalidInput`` naming what is wrong.

        ``log_key`` is a verifier key text ``<origin>+<key id>+<base64>``. A key that is listed under an id other than
        its own is refused.
        """
        if not isinstance(value, Mapping):
            raise InvalidInput("the trust root must be an object")
        for name in _REQUIRED:
            if name not in value:
                raise InvalidInput(f"the trust root lacks the field {name!r}")
        for name in value:
            if name not in _REQUIRED + _OPTIONAL:
                raise InvalidInput(f"the trust root has the unknown field {name!r}")
        for name in ("log_key", "agent_account"):
            if not isinstance(value[name], str) or not value[name].strip():
                raise InvalidInput(f"{name} of the trust root must be a text that is not empty")
        if not isinstance(value["simulated_approvals"], bool):
            raise InvalidInput("simulated_approvals of the trust root must be true or false")
        previous = value.get("previous_checkpoint")
        if previous is not None and not isinstance(previous, str):
            raise InvalidInput("previous_checkpoint of the trust root must be a text or null")
        separation = value.get("separation", APART)
        if separation not in {APART, SHARED, ALONE}:
            raise InvalidInput(f"separation of the trust root must be {APART!r}, {SHARED!r} or {ALONE!r}")
        return cls(
            keys=_keys(value["keys"]),
            log_key=VerifierKey.from_text(value["log_key"]),
            agent_account=value["agent_account"],
            simulated_approvals=value["simulated_approvals"],
            previous_checkpoint=None if previous is None else previous.encode(),
            separation=separation,
        )

    def is_agent(self, account: str) -> bool:
        """Return whether this is the agent's account; GitLab's user names differ by more than letter case."""
        return account.casefold() == self.agent_account.casefold()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``from_json`` reads."""
        previous = self.previous_checkpoint
        return {
            "keys": dict(self.keys),
            "log_key": self.log_key.text,
            "agent_account": self.agent_account,
            "simulated_approvals": self.simulated_approvals,
            "previous_checkpoint": None if previous is None else previous.decode(),
            "separation": self.separation,
        }


def _keys(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidInput("keys of the trust root must be an object with at least one key")
    for keyid, public in value.items():
        if not isinstance(public, str):
            raise InvalidInput(f"the key {keyid} must be an Ed25519 public key in hex")
        if sign.keyid_of(public) != keyid:
            raise InvalidInput(f"the public key under {keyid} has another id, {sign.keyid_of(public)}")
    return dict(value)
