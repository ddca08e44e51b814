"""Reads the trust root: the keys and accounts that a verifier trusts, from outside the evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from factory.errors import EvidenceInvalid, InvalidInput, Refused
from factory.evidence import sign
from factory.evidence.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from factory.evidence.kinds import DESCRIPTIONS
from factory.system import data

# What a key signs besides statements: the log's checkpoints.
CHECKPOINTS = "checkpoint"
# Which roles have separate accounts. "apart": agent, factory and people all do. "two accounts": the factory and its
# agent share one account, people have others. "none": one account for everything.
Separation = Literal["apart", "two accounts", "none"]
APART: Separation
SHARED: Separation
ALONE: Separation
APART, SHARED, ALONE = "apart", "two accounts", "none"


@dataclass(frozen=True)
class TrustedKey:
    """One key: what it may sign, and in which part of the log.

    ``public`` is an Ed25519 key in hex. ``kinds`` are the kinds of statement that it signs, and ``checkpoint``; empty
    means all. It signs statements with an index from ``since`` to before ``until``, and checkpoints of these sizes.
    ``replaces`` is the id of the key that it takes over from: with its first statement, that key ends.
    """

    public: str
    name: str = ""
    kinds: tuple[str, ...] = ()
    since: int = 0
    until: int | None = None
    replaces: str = ""

    def signs(self, kind: str) -> bool:
        """Return whether the key may sign this kind of statement, or ``checkpoint``."""
        return not self.kinds or kind in self.kinds

    def at(self, index: int) -> bool:
        """Return whether the key may sign the statement with this index."""
        return self.since <= index and (self.until is None or index < self.until)


@dataclass(frozen=True)
class Pin:
    """A state that the log must continue: its number of statements, and its root hash in hex."""

    size: int
    root: str


@dataclass(frozen=True)
class TrustedHost:
    """A host whose readiness counts: its Ed25519 public key in hex, and its environments; empty means all."""

    public: str
    environments: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Document:
    """The JSON of a trust root, of this version and of earlier ones."""

    keys: Mapping[str, str | TrustedKey]
    simulated_approvals: bool
    agent_accounts: tuple[data.Named, ...] = ()
    agent_account: str = ""
    origin: str = ""
    log_key: str = ""
    previous_checkpoint: str | None = None
    separation: Separation = APART
    pinned: Pin | None = None
    hosts: Mapping[str, TrustedHost] = field(default_factory=dict)


@dataclass(frozen=True)
class Trust:
    """The keys and accounts that evidence is verified with.

    ``keys`` has each trusted key by its id. ``origin`` is the log's name, in which its checkpoints are signed.
    ``agent_accounts`` must neither approve nor merge. ``previous_checkpoint`` is a signed checkpoint that the verifier
    stored earlier; ``pinned`` is a state that the log must continue, too. ``separation`` says which roles have separate
    accounts; checks that need separate accounts are skipped without them. ``hosts`` has the hosts by name: nothing is
    applied to an environment before each of its hosts is ready.
    """

    keys: Mapping[str, TrustedKey]
    origin: str
    agent_accounts: tuple[str, ...]
    simulated_approvals: bool = False
    previous_checkpoint: bytes | None = None
    separation: Separation = APART
    pinned: Pin | None = None
    hosts: Mapping[str, TrustedHost] = field(default_factory=dict)

    @classmethod
    def of(cls, public: str, *, origin: str, agent_account: str) -> Self:
        """Return the trust root of a log with one key, which signs everything."""
        return cls({sign.keyid_of(public): TrustedKey(public)}, origin, (agent_account,))

    @classmethod
    def read(cls, text: bytes, *, source: str) -> Self:
        """Return the trust root in a JSON object; raises ``InvalidInput``, also for a key under a wrong id.

        A trust root of an earlier version has ``log_key``, a verifier key ``<origin>+<key id>+<base64>``, in place of
        ``origin``, one ``agent_account``, and under each id only the public key.
        """
        found = data.parse(_Document, text, source=source)
        for new, old in (("origin", "log_key"), ("agent_accounts", "agent_account")):
            if bool(getattr(found, new)) == bool(getattr(found, old)):
                raise InvalidInput(f"{source}: either the field {new} or the field {old} must have a value")
        keys = _keys(found.keys, source)
        log = VerifierKey.from_text(found.log_key) if found.log_key else None
        return cls(
            keys=_with_log(keys, log.public) if log else keys,
            origin=log.name if log else found.origin,
            agent_accounts=found.agent_accounts or (found.agent_account,),
            simulated_approvals=found.simulated_approvals,
            previous_checkpoint=None if found.previous_checkpoint is None else found.previous_checkpoint.encode(),
            separation=found.separation,
            pinned=found.pinned,
            hosts=found.hosts,
        )

    def hosts_of(self, environment: str) -> dict[str, str]:
        """Return the public key of each host of an environment, by the host's name."""
        return {
            name: host.public
            for name, host in self.hosts.items()
            if not host.environments or environment in host.environments
        }

    def is_agent(self, account: str) -> bool:
        """Return whether this is an agent's account; GitLab's user names are case-insensitive."""
        return account.casefold() in {name.casefold() for name in self.agent_accounts}

    def recorder(self, keyid: str) -> TrustedKey:
        """Return the key with which a machine records; raises ``Refused`` if it is not trusted to sign checkpoints."""
        key = self.keys.get(keyid)
        if key is None or not key.signs(CHECKPOINTS):
            raise Refused(
                "this machine's key may not record evidence of this project",
                hint="Propose it with `factory evidence keys enrol`; a person merges that.",
            )
        return key

    def log_keys(self) -> dict[VerifierKey, TrustedKey]:
        """Return the keys that may sign checkpoints, each as a verifier key of the log's origin."""
        return {VerifierKey(self.origin, key.public): key for key in self.keys.values() if key.signs(CHECKPOINTS)}

    def recorders(self, size: int) -> frozenset[str]:
        """Return the ids of the keys that may sign the next statement, and the checkpoint, of a log of this size."""
        return frozenset(keyid for keyid, key in self.keys.items() if key.signs(CHECKPOINTS) and key.at(size))

    def open_checkpoint(self, note: bytes, *, ended: bool = False) -> Checkpoint:
        """Return the checkpoint that one of the log's keys signed, at a size at which it may, or with ``ended`` at any.

        Raises ``EvidenceInvalid`` for a malformed note, another origin, and a note that none of these keys signed.
        """
        problem = EvidenceInvalid("the trust root has no key that signs checkpoints")
        for verifier, key in self.log_keys().items():
            try:
                head = open_checkpoint(note, verifier)
            except EvidenceInvalid as error:
                problem = error
                continue
            if not ended and not key.at(max(head.size - 1, 0)):
                raise EvidenceInvalid(
                    f"the key {key.name or verifier.text} may not sign a log of {head.size} statements"
                )
            return head
        raise problem

    def public_keys(self) -> dict[str, str]:
        """Return the public key of each id, whenever it may sign."""
        return {keyid: key.public for keyid, key in self.keys.items()}

    def allows(self, kind: str, index: int, signers: Iterable[str]) -> bool:
        """Return whether each signer may sign a statement of this kind with this index."""
        return all(self.keys[keyid].signs(kind) and self.keys[keyid].at(index) for keyid in signers)

    def ending(self, signed: Sequence[tuple[int, str]]) -> Self:
        """Return this trust root with the end of each key that another has taken over from.

        ``signed`` has the index and the key id of each statement's valid signature: a key ends where the key that
        replaces it first signs.
        """
        first: dict[str, int] = {}
        for index, keyid in signed:
            first[keyid] = min(index, first.get(keyid, index))
        ends = dict(self.keys)
        for keyid, key in self.keys.items():
            old = ends.get(key.replaces)
            if old is not None and keyid in first:
                end = first[keyid] if old.until is None else min(old.until, first[keyid])
                ends[key.replaces] = replace(old, until=end)
        return replace(self, keys=ends)

    def write(self) -> bytes:
        """Return the JSON that ``read`` reads."""
        return data.write(
            _Document(
                keys=self.keys,
                agent_accounts=self.agent_accounts,
                simulated_approvals=self.simulated_approvals,
                origin=self.origin,
                previous_checkpoint=None if self.previous_checkpoint is None else self.previous_checkpoint.decode(),
                separation=self.separation,
                pinned=self.pinned,
                hosts=self.hosts,
            )
        )


def _keys(given: Mapping[str, str | TrustedKey], source: str) -> dict[str, TrustedKey]:
    keys = {keyid: TrustedKey(key) if isinstance(key, str) else key for keyid, key in given.items()}
    if not keys:
        raise InvalidInput(f"{source}: keys must have at least one key")
    for keyid, key in keys.items():
        if sign.keyid_of(key.public) != keyid:
            raise InvalidInput(f"{source}: the public key under {keyid} has the id {sign.keyid_of(key.public)}")
        for kind in key.kinds:
            if kind not in DESCRIPTIONS and kind != CHECKPOINTS:
                raise InvalidInput(f"{source}: the key {keyid} may sign {kind!r}, which is no kind of statement")
        if key.replaces and key.replaces not in keys:
            raise InvalidInput(f"{source}: the key {keyid} replaces {key.replaces}, which is not there")
    return keys


def _with_log(keys: Mapping[str, TrustedKey], public: str) -> dict[str, TrustedKey]:
    """Return keys of which only ``public`` signs checkpoints, as in a trust root that has one key of the log."""
    named = {keyid: replace(key, kinds=tuple(DESCRIPTIONS)) for keyid, key in keys.items() if key.public != public}
    same = {keyid: key for keyid, key in keys.items() if key.public == public}
    return named | (same or {sign.keyid_of(public): TrustedKey(public, kinds=(CHECKPOINTS,))})
