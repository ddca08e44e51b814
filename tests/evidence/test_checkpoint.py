import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import merkle_tree
from factory.evidence.checkpoint import (
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    open_note,
    sign_checkpoint,
    sign_note,
    signature_count,
)
from factory.evidence.sign import Signer
from tests.evidence.examples import ORIGIN, private_pem, signer

# The example of golang.org/x/mod/sumdb/note.
PETER = VerifierKey.from_text("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
STRANGER = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)

KEY = VerifierKey(ORIGIN, signer().public)
HEAD = Checkpoint(ORIGIN, 3, merkle_tree.leaf_hash(b""))


def test_a_note_has_the_bytes_of_the_reference() -> None:
    assert sign_note(TEXT, name="PeterNeumann", signer=Signer(private_pem(PETER_SEED))) == f"{TEXT}\n{LINE}".encode()


def test_a_note_of_the_reference_opens() -> None:
    assert open_note(f"{TEXT}\n{LINE}".encode(), PETER) == TEXT


def test_signatures_of_unknown_keys_are_ignored_but_counted() -> None:
    note = f"{TEXT}\n{STRANGER}{LINE}".encode()
    assert open_note(note, PETER) == TEXT
    assert signature_count(note) == 2


@pytest.mark.parametrize(
    "note",
    [
        f"{TEXT}\n{STRANGER}",
        f"{TEXT}\n{LINE[:-1]}",
        f"{TEXT}{LINE}",
        f"{TEXT}\n",
        TEXT,
        "",
        f"{TEXT}\n{LINE}\n",
        f"{TEXT}\n{LINE}trailing",
        f"{TEXT}\n{LINE.replace('=', '')}",
        f"{TEXT}\n{LINE.replace('M=', 'N=')}",
        f"{TEXT}\n-{LINE[1:]}",
        f"{TEXT}\n{LINE.replace(' x08', '  x08')}",
        f"{TEXT}\t\n{LINE}",
        f"{TEXT.replace('answer', 'question')}\n{LINE}",
        f"{TEXT}\n{LINE * 65}",
        f"{TEXT}\n{LINE}{LINE.replace('Nngot', 'Nngou').replace('qdngo', 'qdngp')}",
    ],
)
def test_a_malformed_or_unsigned_note_is_refused(note: str) -> None:
    with pytest.raises(EvidenceInvalid):
        open_note(note.encode(), PETER)


def test_a_note_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(EvidenceInvalid):
        open_note(b"\xff\n\n" + LINE.encode(), PETER)


@pytest.mark.parametrize(("text", "name"), [("no newline", "a"), ("tab\t\n", "a"), ("x\n", "a b"), ("x\n", "a+b")])
def test_a_note_that_could_not_be_read_is_not_signed(text: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        sign_note(text, name=name, signer=signer())


@given(st.integers(0, 2**40), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_opens_as_it_was_signed(size: int, root: bytes) -> None:
    head = Checkpoint(ORIGIN, size, root)
    assert open_checkpoint(sign_checkpoint(head, signer()), KEY) == head


def test_the_text_of_a_checkpoint_has_three_lines() -> None:
    assert HEAD.text == f"{ORIGIN}\n3\n{base64.b64encode(HEAD.root).decode()}\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD.text + "extension\n",
        HEAD.text.replace("\n3\n", "\n03\n"),
        HEAD.text.replace("\n3\n", "\n-3\n"),
        HEAD.text.replace("\n3\n", "\n\u0663\n"),
        HEAD.text.replace("=\n", "\n"),
        HEAD.text.replace(ORIGIN, "factory.example/other"),
        f"{ORIGIN}\n3\n{base64.b64encode(b'short').decode()}\n",
        f"{ORIGIN}\n3\n",
    ],
)
def test_a_text_of_another_form_is_no_checkpoint_though_the_log_signed_it(text: str) -> None:
    with pytest.raises(EvidenceInvalid):
        open_checkpoint(sign_note(text, name=ORIGIN, signer=signer()), KEY)


def test_a_verifier_key_reads_back() -> None:
    assert VerifierKey.from_text(KEY.text) == KEY
    assert PETER.key_id.hex() == "c74f20a3"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        PETER.text + "A",
        PETER.text.replace("c74f20a3", "c74f20a4"),
        PETER.text.replace("PeterNeumann", "Peter Neumann"),
        PETER.text.replace("+AR", "+Ax"),
        "PeterNeumann+c74f20a3+AQ==",
        VerifierKey("Peter Neumann", PETER.public).text,
        VerifierKey("", PETER.public).text,
    ],
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        VerifierKey.from_text(text)
