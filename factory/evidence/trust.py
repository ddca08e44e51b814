"""Reads the trust root: the keys and accounts that a verifier trusts, from outside the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from factory.errors import InvalidInput
from factory.evidence import sign
from factory.evidence.checkpoint import VerifierKey

_REQUIRED = ("keys", "log_key", "agent_account", "simulated_approvals")
_OPTIONAL = ("previous_checkpoint", "separation")
# Which roles have separate accounts. "apart": agent, factory and people all do. "two accounts": the factory and its
# agent share one account, people have others. "none": one account for everything.
APART, SHARED, ALONE = "apart", "two accounts", "none"


@dataclass(frozen=True)
class Trust:
    """The keys and accounts that evidence is verified with.

    ``keys`` maps the id of each statement key to its public key in hex. ``log_key`` is the log's origin and the key of
    its checkpoints. ``previous_checkpoint`` is a signed checkpoint that the verifier stored earlier. ``separation``
    says which roles have separate accounts; checks that need separate accounts are skipped without them.
    """

    keys: Mapping[str, str]
    log_key: VerifierKey
    agent_account: str
    simulated_approvals: bool = False
    previous_checkpoint: bytes | None = None
    separation: str = APART

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Return the trust root in a JSON object; raises ``InvalidInput``, also for a key under a wrong id.

        ``log_key`` is a verifier key ``<origin>+<key id>+<base64>``.
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
                raise InvalidInput(f"{name} of the trust root must be a non-empty string")
        if not isinstance(value["simulated_approvals"], bool):
            raise InvalidInput("simulated_approvals of the trust root must be true or false")
        previous = value.get("previous_checkpoint")
        if previous is not None and not isinstance(previous, str):
            raise InvalidInput("previous_checkpoint of the trust root must be a string or null")
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
        """Return whether this is the agent's account; GitLab's user names are case-insensitive."""
        return account.casefold() == self.agent_account.casefold()

    def to_json(self) -> dict[str, object]:
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


def _keys(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidInput("keys of the trust root must be an object with at least one key")
    for keyid, public in value.items():
        if not isinstance(public, str):
            raise InvalidInput(f"the key {keyid} must be an Ed25519 public key in hex")
        if sign.keyid_of(public) != keyid:
            raise InvalidInput(f"the public key under {keyid} has the id {sign.keyid_of(public)}")
    return dict(value)
