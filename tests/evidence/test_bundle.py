"""The archive for somebody without the factory: what it has, proves and shows."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from factory.evidence import bundle, merkle_tree
from factory.evidence.verify import verify
from tests.evidence.examples import make, recorded, statements, trust
from tests.servers import PATIENCE

TREE = recorded([*statements(), make("claim", issue=8, mr=13), make("build")])
ABOUT = {*range(10), 11}


def packed(tree: dict[str, bytes] = TREE) -> bytes:
    report = verify(tree, trust=trust(), merge_request=12)
    return bundle.pack(tree, trust(), subject="!12", about=ABOUT, report=report)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_it_verifies_itself_alone(unpacked: Path) -> None:
    argv = [sys.executable, "-I", "verify.py", "log", "trust.json", "schemas.json", "!12"]
    done = subprocess.run(argv, cwd=unpacked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "12 statements, 0 findings"), done.stdout
    (unpacked / "log/checkpoint").write_bytes(b"x")
    assert subprocess.run(argv, cwd=unpacked, capture_output=True, timeout=PATIENCE, check=False).returncode == 1


def test_each_proof_proves_one_statement(unpacked: Path) -> None:
    proofs = sorted((unpacked / "proofs").iterdir())
    assert [path.name for path in proofs] == [f"{index:08}.tlog-proof" for index in sorted(ABOUT)]
    for index, path in zip(sorted(ABOUT), proofs, strict=True):
        head, note = path.read_bytes().split(b"\n\n", 1)
        first, named, *hashes = head.decode().split("\n")
        assert (first, named) == ("c2sp.org/tlog-proof@v1", f"index {index}")
        checkpoint = trust().open_checkpoint(note)
        (file,) = (unpacked / "log/statements").glob(f"{index:08}-*")
        leaf = merkle_tree.leaf_hash(b"sha256:" + hashlib.sha256(file.read_bytes()).hexdigest().encode())
        path_to_root = [base64.b64decode(text) for text in hashes]
        assert merkle_tree.inclusion_holds(leaf, index, checkpoint.size, path_to_root, checkpoint.root)


def test_it_has_the_signed_provenance_and_the_bill_of_materials_of_each_build(unpacked: Path) -> None:
    envelope, sbom = sorted((unpacked / "builds").iterdir(), reverse=True)
    assert envelope.name.removesuffix(".intoto.json") == sbom.name.removesuffix(".cdx.json")
    (recorded_one,) = (unpacked / "log/statements").glob("*-build-*")
    assert envelope.read_bytes() == recorded_one.read_bytes()
    statement = json.loads(base64.b64decode(json.loads(envelope.read_bytes())["payload"]))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    [subject] = statement["subject"]
    [known] = json.loads(sbom.read_bytes())["metadata"]["component"]["hashes"]
    assert known["content"] == subject["digest"]["sha256"]


def test_the_page_says_who_approved_which_digests(unpacked: Path) -> None:
    page = (unpacked / "index.html").read_text()
    for said in (
        "Who approved what",
        "What was built",
        "pkg:pypi/flask@3.0.1",
        "operator",
        "What went where",
        "production",
        trust().origin,
        "verify.py",
    ):
        assert said in page
    assert "src=" not in page
    assert "<link" not in page, "it loads nothing"


def test_what_others_wrote_is_escaped_and_equal_evidence_gives_equal_bytes() -> None:
    tree = recorded(statements({"claim": {"author": "<script>alert(1)</script>"}}))
    report = verify(tree, trust=trust(), merge_request=12)
    found = bundle.pack(tree, trust(), subject="!12", about={0}, report=report)
    with zipfile.ZipFile(io.BytesIO(found)) as archive:
        page = archive.read("index.html").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert packed() == packed()
