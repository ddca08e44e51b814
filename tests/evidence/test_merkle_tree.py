import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.errors import EvidenceInvalid
from factory.evidence import merkle_tree
from factory.evidence.transparency_log import updated

# The leaves, roots and proofs of the certificate-transparency reference tests.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A96 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
A5F = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
A6B = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
ABC = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
ACA = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
A0E = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

trees = st.lists(st.binary(max_size=8), max_size=70)


def naive_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as it is written there."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(entries[:split]) + naive_root(entries[split:])).digest()


def hashes(entries: list[bytes]) -> list[bytes]:
    return [merkle_tree.leaf_hash(entry) for entry in entries]


def unhex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert merkle_tree.root(hashes(LEAVES[:size])).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "proof"), [(0, [A96, A5F, A6B]), (5, [ABC, ACA, ROOTS[4]])])
def test_inclusion_proofs_are_those_of_the_reference(index: int, proof: list[str]) -> None:
    assert merkle_tree.inclusion_proof(hashes(LEAVES), index) == unhex(proof)
    root = bytes.fromhex(ROOTS[8])
    assert merkle_tree.inclusion_holds(merkle_tree.leaf_hash(LEAVES[index]), index, 8, unhex(proof), root)


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [A96, A5F, A6B]), (6, 8, [A0E, ACA, ROOTS[4]]), (2, 5, [A5F, ABC])],
)
def test_consistency_proofs_are_those_of_the_reference(old: int, new: int, proof: list[str]) -> None:
    assert merkle_tree.consistency_proof(hashes(LEAVES[:new]), old) == unhex(proof)
    roots = unhex(ROOTS)
    assert merkle_tree.consistency_holds(old, new, roots[old], roots[new], proof=unhex(proof))


@given(trees)
def test_the_root_is_that_of_the_definition(entries: list[bytes]) -> None:
    assert merkle_tree.root(hashes(entries)) == naive_root(entries)


@given(trees.filter(bool), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_only(entries: list[bytes], data: st.DataObject) -> None:
    leaves, size = hashes(entries), len(entries)
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle_tree.inclusion_proof(leaves, index), merkle_tree.root(leaves)
    assert merkle_tree.inclusion_holds(leaves[index], index, size, proof, root)
    assert not merkle_tree.inclusion_holds(merkle_tree.leaf_hash(b"another entry"), index, size, proof, root)
    assert not merkle_tree.inclusion_holds(leaves[index], index, size, [*proof, root], root)
    assert not merkle_tree.inclusion_holds(leaves[index], size, size, proof, root)
    assert not merkle_tree.inclusion_holds(leaves[index], -1, size, proof, root)
    assert not merkle_tree.inclusion_holds(leaves[index], index, size, proof, merkle_tree.EMPTY_ROOT)
    if proof:
        assert not merkle_tree.inclusion_holds(leaves[index], index, size, proof[:-1], root)


@given(trees, st.data())
def test_a_consistency_proof_holds_for_its_two_trees_only(entries: list[bytes], data: st.DataObject) -> None:
    leaves, new = hashes(entries), len(entries)
    old = data.draw(st.integers(0, new))
    proof = merkle_tree.consistency_proof(leaves, old)
    old_root, new_root = naive_root(entries[:old]), naive_root(entries)
    other = merkle_tree.leaf_hash(b"another root")
    assert merkle_tree.consistency_holds(old, new, old_root, new_root, proof=proof)
    assert not merkle_tree.consistency_holds(old, new, other, new_root, proof=proof)
    assert not merkle_tree.consistency_holds(old, new, old_root, new_root, proof=[*proof, other])
    assert not merkle_tree.consistency_holds(new + 1, new, old_root, new_root, proof=proof)
    if 0 < old < new:
        assert not merkle_tree.consistency_holds(old, new, old_root, other, proof=proof)
        assert not merkle_tree.consistency_holds(old, new, old_root, new_root, proof=proof[:-1])


def test_a_proof_of_what_is_not_there_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        merkle_tree.inclusion_proof(hashes(LEAVES), 8)
    with pytest.raises(IndexError):
        merkle_tree.consistency_proof(hashes(LEAVES), 9)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (merkle_tree.tile_path(0, 0, 1), "tile/0/000.p/1"),
        (merkle_tree.tile_path(0, 999), "tile/0/999"),
        (merkle_tree.tile_path(1, 1000, 255), "tile/1/x001/000.p/255"),
        (merkle_tree.tile_path(2, 1234067), "tile/2/x001/x234/067"),
        (merkle_tree.entries_path(1234067, 7), "tile/entries/x001/x234/067.p/7"),
    ],
)
def test_paths_are_those_of_the_specification(path: str, expected: str) -> None:
    assert path == expected


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    tree = updated({}, merkle_tree.grow({}, 0, [index.to_bytes(3, "big") for index in range(70_000)]))
    assert sum(path.startswith("tile/0/") for path in tree) == 274
    assert len(tree["tile/0/273.p/112"]) == 112 * 32
    assert {path for path in tree if path.startswith(("tile/1/", "tile/2/"))} == {
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    assert len(merkle_tree.decode_bundle(tree["tile/entries/273.p/112"])) == 112


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=6))
def test_growing_in_steps_gives_the_tiles_of_growing_at_once(steps: list[int]) -> None:
    entries = [f"entry {index}".encode() for index in range(sum(steps))]
    tree: dict[str, bytes] = {}
    size = 0
    for step in steps:
        tree = updated(tree, merkle_tree.grow(tree, size, entries[size : size + step]))
        size += step
        assert merkle_tree.root_of_tiles(tree, size) == naive_root(entries[:size])
    assert tree == updated({}, merkle_tree.grow({}, 0, entries))


def test_growing_reads_nothing_but_partial_tiles() -> None:
    tree = updated({}, merkle_tree.grow({}, 0, [bytes([index % 256]) for index in range(600)]))
    partial = {path: data for path, data in tree.items() if ".p/" in path}
    assert merkle_tree.grow(partial, 600, [b"next"]) == merkle_tree.grow(tree, 600, [b"next"])
    assert set(merkle_tree.grow(tree, 600, [b"next"])) == {
        "tile/0/002.p/88",
        "tile/0/002.p/89",
        "tile/entries/002.p/88",
        "tile/entries/002.p/89",
    }


@pytest.mark.parametrize("path", ["tile/0/000.p/3", "tile/entries/000.p/3"])
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00" * 96, None])
def test_a_tree_whose_partial_tiles_are_damaged_does_not_grow(path: str, data: bytes | None) -> None:
    tree = updated({}, merkle_tree.grow({}, 0, [b"a", b"b", b"c"]))
    with pytest.raises(EvidenceInvalid):
        merkle_tree.grow(updated(tree, {path: data}), 3, [b"d"])


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    assert merkle_tree.decode_bundle(merkle_tree.encode_bundle(entries)) == entries


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x02a", b"\x00\x01ab"])
def test_a_bundle_that_ends_within_an_entry_is_refused(bundle: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        merkle_tree.decode_bundle(bundle)


def test_an_entry_past_65535_bytes_is_refused() -> None:
    with pytest.raises(EvidenceInvalid):
        merkle_tree.encode_bundle([b"x" * 65536])
