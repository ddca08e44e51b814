"""Implements the Merkle tree of RFC 6962 and its tiles. Pure.

Specifications: RFC 6962 section 2.1 (hashes, proofs), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verifying proofs; the
hashes are the same), https://c2sp.org/tlog-tiles (layout). Hashes are 32 raw bytes; sizes and indexes count leaves.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from factory.errors import EvidenceInvalid

HASH_BYTES = 32
TILE_WIDTH = 256
LARGEST_ENTRY = 2**16 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return MTH({d}) = SHA-256(0x00 || d)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle Tree Hash of leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    row = list(leaves)
    while len(row) > 1:
        # A last node without a neighbour moves up unchanged, which gives the same tree as RFC 6962's split.
        rest = row[-1:] if len(row) % 2 else []
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)] + rest
    return row[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return PATH(index, D) of RFC 6962 section 2.1.1; raises ``IndexError`` if the tree has no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root(leaves[:split])]


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes) -> bool:
    """Return whether ``proof`` shows that leaf hash ``leaf`` is at ``index`` of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node % 2 or node == last:
            found = node_hash(sibling, found)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == tree_root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return PROOF(old_size, D) of RFC 6962 section 2.1.2; raises ``IndexError`` if D is smaller."""
    if not 0 <= old_size <= len(leaves):
        raise IndexError(f"no tree of {old_size} within a tree of {len(leaves)}")
    return _subproof(leaves, old_size, whole=True) if old_size else []


def consistency_holds(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, *, proof: Sequence[bytes]
) -> bool:
    """Return whether ``proof`` shows that the old tree is the start of the new one (RFC 9162 section 2.1.4.2)."""
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old_size < new_size or not proof:
        return False
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    node, last = old_size - 1, new_size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return ``tile/<L>/<N>[.p/<W>]`` (tlog-tiles, Merkle Tree); ``width`` below 256 names a partial tile."""
    return f"tile/{level}/{_index_path(index)}{_partial(width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return ``tile/entries/<N>[.p/<W>]`` (tlog-tiles, Log entries)."""
    return f"tile/entries/{_index_path(index)}{_partial(width)}"


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the entries, each with a big-endian uint16 length prefix; raises ``EvidenceInvalid`` over 65,535 bytes."""
    if any(len(entry) > LARGEST_ENTRY for entry in entries):
        raise EvidenceInvalid(f"a log entry is longer than {LARGEST_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(bundle: bytes) -> list[bytes]:
    """Return the entries of a bundle; raises ``EvidenceInvalid`` if an entry is truncated."""
    entries, position = [], 0
    while position < len(bundle):
        end = position + 2 + int.from_bytes(bundle[position : position + 2], "big")
        if end > len(bundle) or position + 2 > len(bundle):
            raise EvidenceInvalid("the last entry of an entry bundle is truncated")
        entries.append(bundle[position + 2 : end])
        position = end
    return entries


def root_of_tiles(tree: Mapping[str, bytes], size: int) -> bytes:
    """Return the root of a tree of ``size`` leaves from its partial tiles, at most one per level.

    Raises ``EvidenceInvalid`` if a partial tile is missing or has the wrong width.
    """
    subtrees: list[bytes] = []  # perfect subtrees from right to left
    level, count = 0, size
    while count:
        hashes = _read_partial(tree, level, count)
        while hashes:
            width = len(hashes) & -len(hashes)
            subtrees.append(root(hashes[-width:]))
            hashes = hashes[:-width]
        level, count = level + 1, count // TILE_WIDTH
    if not subtrees:
        return EMPTY_ROOT
    found = subtrees[0]
    for left in subtrees[1:]:
        found = node_hash(left, found)
    return found


def grow(tree: Mapping[str, bytes], size: int, entries: Sequence[bytes]) -> dict[str, bytes | None]:
    """Return the tiles and entry bundles that change when ``entries`` are appended; ``None`` removes a file.

    ``size`` is the number of entries in ``tree``. A wider tile replaces a partial one. Reads only partial tiles; raises
    ``EvidenceInvalid`` if one is missing or does not match its entries.
    """
    if not entries:
        return {}
    hashes = _read_partial(tree, 0, size)
    kept = _read_partial_bundle(tree, size)
    if [leaf_hash(entry) for entry in kept] != hashes:
        raise EvidenceInvalid(f"{entries_path(size // TILE_WIDTH, size % TILE_WIDTH)} does not match its tile")
    changes: dict[str, bytes | None] = {}
    encoded = [encode_bundle([entry]) for entry in [*kept, *entries]]
    _write_row(changes, entries_path, size, encoded)
    level, count, row = 0, size, hashes + [leaf_hash(entry) for entry in entries]
    while len(row) > count % TILE_WIDTH:
        _write_row(changes, partial(tile_path, level), count, row)
        full = [root(row[i : i + TILE_WIDTH]) for i in range(0, len(row) - TILE_WIDTH + 1, TILE_WIDTH)]
        level, count = level + 1, count // TILE_WIDTH
        row = _read_partial(tree, level, count) + full
    return changes


def _write_row(
    changes: dict[str, bytes | None], path: Callable[[int, int], str], count: int, row: Sequence[bytes]
) -> None:
    first, width = divmod(count, TILE_WIDTH)
    if width:
        changes[path(first, width)] = None
    for offset in range(0, len(row), TILE_WIDTH):
        chunk = row[offset : offset + TILE_WIDTH]
        changes[path(first + offset // TILE_WIDTH, len(chunk))] = b"".join(chunk)


def _read_partial(tree: Mapping[str, bytes], level: int, count: int) -> list[bytes]:
    index, width = divmod(count, TILE_WIDTH)
    if not width:
        return []
    path = tile_path(level, index, width)
    data = tree.get(path, b"")
    if len(data) != width * HASH_BYTES:
        raise EvidenceInvalid(f"{path} is missing or not {width} hashes long")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def _read_partial_bundle(tree: Mapping[str, bytes], count: int) -> list[bytes]:
    index, width = divmod(count, TILE_WIDTH)
    return decode_bundle(tree.get(entries_path(index, width), b"")) if width else []


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root(leaves)]
    split = _split(len(leaves))
    if old_size <= split:
        return [*_subproof(leaves[:split], old_size, whole=whole), root(leaves[split:])]
    return [*_subproof(leaves[split:], old_size - split, whole=False), root(leaves[:split])]


def _split(size: int) -> int:
    # RFC 6962: the largest power of two smaller than the size.
    return 1 << ((size - 1).bit_length() - 1)


def _index_path(index: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
