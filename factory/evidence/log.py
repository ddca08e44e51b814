"""The evidence tree: path to bytes, the content of the branch ``factory/evidence``.

``statements/<index>-<kind>-<12 hex of sha256(key)>.json`` hold the envelopes; the log's entries are their digests;
``tile/`` and ``checkpoint`` follow https://c2sp.org/tlog-tiles. One sequence of statements gives one tree.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.errors import Conflict, EvidenceInvalid
from factory.evidence import sign, statement, tlog
from factory.evidence.checkpoint import Checkpoint, VerifierKey, open_checkpoint, sign_checkpoint
from factory.system import canonical

CHECKPOINT = "checkpoint"
STATEMENTS = "statements/"

_PATH = re.compile(r"statements/(?P<index>[0-9]{8})-[a-z]+-(?P<key>[0-9a-f]{12})\.json")


@dataclass(frozen=True)
class Entry:
    """One recorded statement: its place in the log, its envelope's digest and what it says."""

    index: int
    kind: str
    digest: str
    envelope: Mapping[str, Any]
    statement: Mapping[str, Any]

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The facts."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def key(self) -> str:
        """The idempotency key."""
        return str(self.predicate["key"])


def append(
    tree: Mapping[str, bytes], statements: Sequence[Mapping[str, Any]], *, signer: sign.Signer, origin: str
) -> dict[str, bytes | None]:
    """Return the files that change when ``statements`` join the log: new bytes, or ``None`` for one to remove.

    A statement whose key is recorded already is skipped where it says the same apart from ``time``. Raises
    ``Conflict`` where it says something else, ``InvalidInput`` for a malformed statement, and ``EvidenceInvalid``
    where the tree's checkpoint is not the signer's or its tiles do not lead to it: a log never signs two trees that
    disagree (tlog-checkpoint, Signatures).
    """
    size = _size(tree, VerifierKey(origin, signer.public))
    fresh = _fresh(tree, statements)
    if not fresh:
        return {}
    changes: dict[str, bytes | None] = {}
    entries = []
    for index, value in enumerate(fresh, start=size):
        data = canonical.encode(sign.seal(statement.encode(value), signer))
        changes[path_of(index, value)] = data
        entries.append(canonical.digest(data).encode())
    changes |= tlog.grow(tree, size, entries)
    root = tlog.root_of_tiles(updated(tree, changes), size + len(fresh))
    changes[CHECKPOINT] = sign_checkpoint(Checkpoint(origin, size + len(fresh), root), signer)
    return changes


def updated(tree: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Return the tree with ``changes`` made."""
    return {path: data for path, data in {**tree, **changes}.items() if data is not None}


def read(tree: Mapping[str, bytes]) -> list[Entry]:
    """Return the statements in the order of the log, unverified: signatures and proofs are for ``verify``.

    Raises ``EvidenceInvalid`` where a file of ``statements/`` can't be read as one, or a place is empty or taken twice.
    """
    entries = [
        read_entry(path, decode_envelope(tree[path]), canonical.digest(tree[path]))
        for path in sorted(tree)
        if path.startswith(STATEMENTS)
    ]
    for place, entry in enumerate(entries):
        if entry.index != place:
            raise EvidenceInvalid(f"statement {place} is absent or not alone; {entry.index} follows")
    return entries


def decode_envelope(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a statement file holds; raises ``EvidenceInvalid`` unless its bytes are canonical."""
    try:
        value = json.loads(data)
        exact = canonical.encode(value) == data
    except (ValueError, TypeError, RecursionError) as error:
        raise EvidenceInvalid("the envelope is not canonical JSON") from error
    if not exact or not isinstance(value, dict):
        raise EvidenceInvalid("the envelope is not a JSON object in canonical form")
    return value


def read_entry(path: str, envelope: Mapping[str, Any], digest: str) -> Entry:
    """Return the entry of one statement file; raises ``EvidenceInvalid`` where the statement does not fit the path."""
    value = statement.parse(sign.payload_of(envelope))
    index = index_of(path)
    if index is None or path_of(index, value) != path:
        raise EvidenceInvalid(f"{path} is not the path of the statement in it, {value['predicate']['key']!r}")
    return Entry(index, statement.kind_of(value), digest, envelope, value)


def path_of(index: int, value: Mapping[str, Any]) -> str:
    """Return where a statement is kept."""
    return f"{STATEMENTS}{index:08}-{statement.kind_of(value)}-{_key_hash(value['predicate']['key'])}.json"


def index_of(path: str) -> int | None:
    """Return the log index that a statement's path names, or ``None`` for any other path."""
    match = _PATH.fullmatch(path)
    return int(match["index"]) if match else None


def _size(tree: Mapping[str, bytes], key: VerifierKey) -> int:
    recorded = sum(path.startswith(STATEMENTS) for path in tree)
    if not tree:
        return 0
    if CHECKPOINT not in tree:
        raise EvidenceInvalid("the evidence tree has no checkpoint")
    head = open_checkpoint(tree[CHECKPOINT], key)
    if head.size != recorded:
        raise EvidenceInvalid(f"the checkpoint counts {head.size} statements, the tree holds {recorded}")
    if tlog.root_of_tiles(tree, head.size) != head.root:
        raise EvidenceInvalid("the tiles do not lead to the root of the checkpoint")
    return head.size


def _fresh(tree: Mapping[str, bytes], statements: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
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
        # Twelve digits can collide, so the key itself decides; only the few files that share them are read.
        for path in paths.get(_key_hash(key), []):
            recorded = statement.parse(sign.payload_of(decode_envelope(tree[path])))
            seen.setdefault(recorded["predicate"]["key"], recorded)
        if key not in seen:
            seen[key] = value
            fresh.append(value)
        elif _facts(seen[key]) != _facts(value):
            raise Conflict(
                f"the evidence log says something else under the key {key!r}",
                hint="The same step ended in two ways; compare both before anything ships.",
            )
    return fresh


def _facts(value: Mapping[str, Any]) -> dict[str, Any]:
    # A resumed step records the same fact at a later time.
    predicate = {name: item for name, item in value["predicate"].items() if name != "time"}
    return {**value, "predicate": predicate}


def _key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
