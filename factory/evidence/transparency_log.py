"""Reads and extends the evidence tree: path to bytes, the content of the branch ``factory/evidence``.

``statements/<index>-<kind>-<12 hex of sha256(key)>.json`` contain the envelopes; the log's entries are their digests.
``tile/`` and ``checkpoint`` follow https://c2sp.org/tlog-tiles. One sequence of statements gives exactly one tree.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory.errors import Conflict, EvidenceInvalid, Refused
from factory.evidence import merkle_tree, sign, statement
from factory.evidence.checkpoint import Checkpoint, sign_checkpoint
from factory.system import canonical

if TYPE_CHECKING:  # start-up speed: reading statements needs no trust root
    from factory.evidence.trust import Trust

BRANCH = "factory/evidence"
CHECKPOINT = "checkpoint"
STATEMENTS = "statements/"

_PATH = re.compile(r"statements/(?P<index>[0-9]{8})-[a-z]+-(?P<key>[0-9a-f]{12})\.json")


@dataclass(frozen=True)
class Entry:
    """One recorded statement: its log index, kind, the file's digest, the envelope and the statement."""

    index: int
    kind: str
    digest: str
    envelope: Mapping[str, Any]
    statement: Mapping[str, Any]

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The statement's predicate."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @cached_property
    def signers(self) -> tuple[str, ...]:
        """The ids of the keys in the envelope's signatures."""
        return tuple(item["keyid"] for item in self.envelope["signatures"])

    @property
    def key(self) -> str:
        """The idempotency key."""
        return str(self.predicate["key"])


def append(
    tree: Mapping[str, bytes], statements: Sequence[Mapping[str, Any]], *, signer: sign.Signer, trust: "Trust"
) -> dict[str, bytes | None]:
    """Return the files that change when ``statements`` are appended: new bytes, or ``None`` for a removed file.

    A statement with a recorded key is skipped if it differs only in ``time``. Raises ``Conflict`` if it differs in
    other fields, ``InvalidInput`` for a malformed statement, ``Refused`` if the signer may not sign the next statement,
    and ``EvidenceInvalid`` if no trusted key signed the tree's checkpoint or the tiles do not match it: a log must
    never sign inconsistent trees (tlog-checkpoint, Signatures).
    """
    size = _size(tree, trust)
    trust = _ending(tree, trust)
    fresh = _fresh(tree, statements, trust)
    if not fresh:
        return {}
    _require_current(size, fresh, signer, trust)
    changes: dict[str, bytes | None] = {}
    entries = []
    for index, value in enumerate(fresh, start=size):
        data = canonical.encode(sign.seal(statement.encode(value), signer))
        changes[path_of(index, value)] = data
        entries.append(canonical.digest(data).encode())
    changes |= merkle_tree.grow(tree, size, entries)
    root = merkle_tree.root_of_tiles(updated(tree, changes), size + len(fresh))
    changes[CHECKPOINT] = sign_checkpoint(Checkpoint(trust.origin, size + len(fresh), root), signer)
    return changes


def updated(tree: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Return the tree with ``changes`` applied."""
    return {path: data for path, data in {**tree, **changes}.items() if data is not None}


def read(tree: Mapping[str, bytes]) -> list[Entry]:
    """Return the statements in the order of the log without verifying signatures and proofs.

    Raises ``EvidenceInvalid`` if a file of ``statements/`` is invalid, or an index is missing or used twice.
    """
    entries = [
        read_entry(path, decode_envelope(tree[path]), canonical.digest(tree[path]))
        for path in sorted(tree)
        if path.startswith(STATEMENTS)
    ]
    for place, entry in enumerate(entries):
        if entry.index != place:
            raise EvidenceInvalid(f"statement {place} is missing or duplicated; {entry.index} follows")
    return entries


def decode_envelope(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a statement file; raises ``EvidenceInvalid`` unless its bytes are canonical."""
    try:
        value = canonical.decode(data)
    except (ValueError, RecursionError) as error:
        raise EvidenceInvalid("the envelope is not canonical JSON") from error
    if not isinstance(value, dict):
        raise EvidenceInvalid("the envelope is not a JSON object in canonical form")
    return value


def read_entry(path: str, envelope: Mapping[str, Any], digest: str, payload: bytes | None = None) -> Entry:
    """Return the entry of a statement file; raises ``EvidenceInvalid`` if the path does not match the statement.

    ``payload`` is the envelope's, if it is decoded already.
    """
    value = statement.parse(sign.payload_of(envelope) if payload is None else payload)
    index = index_of(path)
    if index is None or path_of(index, value) != path:
        raise EvidenceInvalid(f"{path} is not the path of the statement in the file, {value['predicate']['key']!r}")
    return Entry(index, statement.kind_of(value), digest, envelope, value)


def path_of(index: int, value: Mapping[str, Any]) -> str:
    """Return the path of a statement."""
    return f"{STATEMENTS}{index:08}-{statement.kind_of(value)}-{_key_hash(value['predicate']['key'])}.json"


def names(paths: Iterable[str], kind: str, key: str) -> bool:
    """Return whether one of the paths is of the statement of a kind with a key."""
    end = f"-{kind}-{_key_hash(key)}.json"
    return any(path.endswith(end) for path in paths)


def index_of(path: str) -> int | None:
    """Return the log index in a statement's path, or ``None`` for any other path."""
    match = _PATH.fullmatch(path)
    return int(match["index"]) if match else None


def _ending(tree: Mapping[str, bytes], trust: "Trust") -> "Trust":
    """Return the trust root with the ends of replaced keys, as the log's valid signatures say."""
    if not any(key.replaces for key in trust.keys.values()):
        return trust
    return trust.ending([(entry.index, keyid) for entry in signed(tree, trust) for keyid in entry.signers])


def signed(tree: Mapping[str, bytes], trust: "Trust") -> list[Entry]:
    """Return the statements that only trusted keys signed, whether or not a key may sign at that place."""
    found = []
    for entry in read(tree):
        with suppress(EvidenceInvalid):
            sign.open_envelope(entry.envelope, trust.public_keys())
            found.append(entry)
    return found


def valid(tree: Mapping[str, bytes], trust: "Trust") -> list[Entry]:
    """Return the statements that trusted keys signed in their part of the log."""
    found = signed(tree, trust)
    ended = trust.ending([(entry.index, keyid) for entry in found for keyid in entry.signers])
    return [entry for entry in found if ended.allows(entry.kind, entry.index, entry.signers)]


def _require_current(size: int, fresh: Sequence[Mapping[str, Any]], signer: sign.Signer, trust: "Trust") -> None:
    """Raise ``Refused`` unless the signer may sign each of the next statements, and their checkpoint."""
    key = trust.recorder(signer.keyid)
    for index, value in enumerate(fresh, start=size):
        if not trust.allows(statement.kind_of(value), index, [signer.keyid]):
            raise Refused(
                f"this machine's key {key.name or signer.keyid[:12]} may not sign statement {index}",
                hint="See `factory evidence keys list`.",
            )


def _size(tree: Mapping[str, bytes], trust: "Trust") -> int:
    recorded = sum(path.startswith(STATEMENTS) for path in tree)
    if not tree:
        return 0
    if CHECKPOINT not in tree:
        raise EvidenceInvalid("the evidence tree has no checkpoint")
    # A key that has ended may have signed the newest state; the next statement ends that.
    head = trust.open_checkpoint(tree[CHECKPOINT], ended=True)
    if head.size != recorded:
        raise EvidenceInvalid(f"the checkpoint counts {head.size} statements, but the tree has {recorded}")
    if merkle_tree.root_of_tiles(tree, head.size) != head.root:
        raise EvidenceInvalid("the tiles do not match the checkpoint's root")
    if merkle_tree.root(_leaves(tree)) != head.root:
        raise EvidenceInvalid("the statements do not match the checkpoint's root")
    pinned = trust.pinned
    if pinned is not None and root_at(tree, pinned.size) != pinned.root:
        raise EvidenceInvalid(f"the log does not continue the {pinned.size} statements that the trust root pins")
    return head.size


def root_at(tree: Mapping[str, bytes], size: int) -> str:
    """Return the root hash, in hex, of the first ``size`` statements; empty if there are fewer."""
    leaves = _leaves(tree)[:size]
    return merkle_tree.root(leaves).hex() if len(leaves) == size else ""


def _leaves(tree: Mapping[str, bytes]) -> list[bytes]:
    paths = sorted(path for path in tree if path.startswith(STATEMENTS))
    return [merkle_tree.leaf_hash(canonical.digest(tree[path]).encode()) for path in paths]


def _fresh(
    tree: Mapping[str, bytes], statements: Sequence[Mapping[str, Any]], trust: "Trust"
) -> list[Mapping[str, Any]]:
    """Return the statements that the log does not have; one that is void there is not counted."""
    paths: dict[str, list[str]] = {}
    for path in tree:
        match = _PATH.fullmatch(path)
        if match:
            paths.setdefault(match["key"], []).append(path)
    fresh: list[Mapping[str, Any]] = []
    seen: dict[str, Mapping[str, Any]] = {}
    for value in statements:
        statement.check(value)
        key = value["predicate"]["key"]
        # Twelve digits can collide, so compare the keys; only the few files with the same digits are read.
        for path in paths.get(_key_hash(key), []):
            entry = read_entry(path, decode_envelope(tree[path]), canonical.digest(tree[path]))
            if not trust.allows(entry.kind, entry.index, [keyid for keyid in entry.signers if keyid in trust.keys]):
                continue
            recorded = entry.statement
            seen.setdefault(recorded["predicate"]["key"], recorded)
        if key not in seen:
            seen[key] = value
            fresh.append(value)
        elif _facts(seen[key]) != _facts(value):
            raise Conflict(
                f"the evidence log already has another statement with the key {key!r}",
                hint="The same step had two different results; compare them before you ship anything.",
            )
    return fresh


def _facts(value: Mapping[str, Any]) -> dict[str, Any]:
    # A resumed step records the same fact at a later time, or in a later version with another predicate type and with
    # the releases of a plan, which the digest of its manifest binds.
    predicate = {name: item for name, item in value["predicate"].items() if name != "time"}
    subjects = [item for item in value["subject"] if not item["name"].startswith(statement.RELEASE)]
    return {**value, "predicateType": statement.kind_of(value), "predicate": predicate, "subject": subjects}


def _key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
