"""Signs and verifies notes and the checkpoints of the log. Pure.

Specifications: https://c2sp.org/signed-note (format, Ed25519 signatures) and https://c2sp.org/tlog-checkpoint.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Self

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import merkle_tree, sign

_ED25519 = b"\x01"
_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"\u2014 (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+=*)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[^\s+]+")
_LINES = 3
# signed-note, Format: a verifier must accept at least 16 signatures and should have a limit.
_MOST_SIGNATURES = 64


@dataclass(frozen=True)
class VerifierKey:
    """A name and the Ed25519 public key (hex) of the notes that are signed under this name."""

    name: str
    public: str

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key) (signed-note, Ed25519 signatures)."""
        data = self.name.encode() + b"\n" + _ED25519 + bytes.fromhex(self.public)
        return hashlib.sha256(data).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as ``<name>+<key id in hex>+<base64 of 0x01 || public key>``, the format of note tools."""
        encoded = base64.b64encode(_ED25519 + bytes.fromhex(self.public)).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the key in ``text``; raises ``InvalidInput`` if it is malformed or its id is wrong."""
        name, _, rest = text.partition("+")
        try:
            data = sign.decode_base64(rest.partition("+")[2])
        except EvidenceInvalid as error:
            raise InvalidInput(f"{text!r} is not a verifier key") from error
        if data[:1] != _ED25519 or _NAME.fullmatch(name) is None:
            raise InvalidInput(f"{text!r} is not an Ed25519 verifier key")
        key = cls(name, data[1:].hex())
        sign.keyid_of(key.public)
        if key.text != text:
            raise InvalidInput(f"the key id in {text!r} must be {key.key_id.hex()}, the id of the key")
        return key


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its origin, its number of entries and their root hash."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text: origin, size and base64 root, each on a line (tlog-checkpoint, Note text)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_note(text: str, *, name: str, signer: sign.Signer) -> bytes:
    """Return ``text``, which must end with a newline, as a note signed under ``name``; raises ``InvalidInput``."""
    if _NAME.fullmatch(name) is None or not text.endswith("\n") or _has_control(text):
        raise InvalidInput("a note needs a text that ends with a newline and a name without spaces or plus signs")
    key_id = VerifierKey(name, signer.public).key_id
    signature = base64.b64encode(key_id + signer.sign(text.encode())).decode()
    return f"{text}\n\u2014 {name} {signature}\n".encode()


def open_note(note: bytes, key: VerifierKey) -> str:
    """Return the text of a note that ``key`` signed; signatures of other keys are ignored.

    Raises ``EvidenceInvalid`` if the note is malformed, or the key's signature is missing or invalid.
    """
    text, lines = _parts(note)
    signed = False
    for line in lines:
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            raise EvidenceInvalid("a signature line of the note is malformed")
        data = sign.decode_base64(match["signature"])
        if match["name"] != key.name or data[:_ID_BYTES] != key.key_id:
            continue
        if not sign.signature_holds(key.public, data[_ID_BYTES:], text.encode()):
            raise EvidenceInvalid(f"the note's signature by {key.name} is invalid")
        signed = True
    if not signed:
        raise EvidenceInvalid(f"the note is not signed by {key.text}")
    return text


def signature_count(note: bytes) -> int:
    """Return the number of signature lines of a note; raises ``EvidenceInvalid`` if the note is malformed."""
    return len(_parts(note)[1])


def sign_checkpoint(checkpoint: Checkpoint, signer: sign.Signer) -> bytes:
    """Return the checkpoint as a note signed under its origin; raises ``InvalidInput``."""
    return sign_note(checkpoint.text, name=checkpoint.origin, signer=signer)


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint that ``key`` signed; its origin must be the key's name.

    Raises ``EvidenceInvalid`` for a malformed or unsigned note, another origin, and extension lines, which this log
    never writes.
    """
    text = open_note(note, key)
    lines = text.splitlines()
    if len(lines) != _LINES or _SIZE.fullmatch(lines[1]) is None:
        raise EvidenceInvalid("the checkpoint must have three lines: origin, size and root")
    checkpoint = Checkpoint(lines[0], int(lines[1]), sign.decode_base64(lines[2]))
    if checkpoint.origin != key.name or len(checkpoint.root) != merkle_tree.HASH_BYTES or checkpoint.text != text:
        raise EvidenceInvalid(f"the checkpoint does not belong to the log {key.name!r}")
    return checkpoint


def _parts(note: bytes) -> tuple[str, list[str]]:
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise EvidenceInvalid("the note is not UTF-8 text") from error
    text, blank, tail = whole.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or _has_control(whole) or lines.pop() != "" or not 0 < len(lines) <= _MOST_SIGNATURES:
        raise EvidenceInvalid("the note must be a text, a blank line and signature lines")
    return text + "\n", lines


def _has_control(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)
