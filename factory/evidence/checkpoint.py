"""Signed notes and the checkpoints of the log, as pure functions on values.

Specifications: https://c2sp.org/signed-note (format, Ed25519 signatures) and https://c2sp.org/tlog-checkpoint.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Self

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import sign, tlog

_ED25519 = b"\x01"
_ID_BYTES = 4
_SIGNATURE_LINE = re.compile(r"\u2014 (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+=*)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[^\s+]+")
_LINES = 3
# signed-note, Format: a verifier must take at least 16 signatures and should have a limit.
_MOST_SIGNATURES = 64


@dataclass(frozen=True)
class VerifierKey:
    """A name and the Ed25519 public key (hex) that signs notes under it."""

    name: str
    public: str

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key) (signed-note, Ed25519 signatures)."""
        data = self.name.encode() + b"\n" + _ED25519 + bytes.fromhex(self.public)
        return hashlib.sha256(data).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as ``<name>+<key id in hex>+<base64 of 0x01 || public key>``, the form that note tools exchange."""
        encoded = base64.b64encode(_ED25519 + bytes.fromhex(self.public)).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the key that ``text`` names; raises ``InvalidInput`` where it is malformed or its id is wrong."""
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
            raise InvalidInput(f"the key id in {text!r} is not that of its key, {key.key_id.hex()}")
        return key


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: its origin, its number of entries and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text: origin, size and base64 root, each on a line (tlog-checkpoint, Note text)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_note(text: str, *, name: str, signer: sign.Signer) -> bytes:
    """Return ``text``, which must end in a newline, as a note signed under ``name``; raises ``InvalidInput``."""
    if _NAME.fullmatch(name) is None or not text.endswith("\n") or _has_control(text):
        raise InvalidInput("a note needs a text that ends in a newline and a name without spaces or plus signs")
    key_id = VerifierKey(name, signer.public).key_id
    signature = base64.b64encode(key_id + signer.sign(text.encode())).decode()
    return f"{text}\n\u2014 {name} {signature}\n".encode()


def open_note(note: bytes, key: VerifierKey) -> str:
    """Return the text of a note that ``key`` signed; other keys' signatures are not looked at.

    Raises ``EvidenceInvalid`` where the note is malformed, or the key's signature is absent or does not hold.
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
            raise EvidenceInvalid(f"the note's signature by {key.name} does not hold")
        signed = True
    if not signed:
        raise EvidenceInvalid(f"the note is not signed by {key.text}")
    return text


def signature_count(note: bytes) -> int:
    """Return how many signature lines a note has; raises ``EvidenceInvalid`` where it is malformed."""
    return len(_parts(note)[1])


def sign_checkpoint(checkpoint: Checkpoint, signer: sign.Signer) -> bytes:
    """Return the checkpoint as a note signed under its origin; raises ``InvalidInput``."""
    return sign_note(checkpoint.text, name=checkpoint.origin, signer=signer)


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint that ``key`` signed for the origin of its own name.

    Raises ``EvidenceInvalid``: malformed, not signed, another origin, or extension lines, which this log never writes.
    """
    text = open_note(note, key)
    lines = text.splitlines()
    if len(lines) != _LINES or _SIZE.fullmatch(lines[1]) is None:
        raise EvidenceInvalid("the checkpoint must hold origin, size and root, each on a line")
    checkpoint = Checkpoint(lines[0], int(lines[1]), sign.decode_base64(lines[2]))
    if checkpoint.origin != key.name or len(checkpoint.root) != tlog.HASH_BYTES or checkpoint.text != text:
        raise EvidenceInvalid(f"the checkpoint is not one of the log {key.name!r}")
    return checkpoint


def _parts(note: bytes) -> tuple[str, list[str]]:
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise EvidenceInvalid("the note is not UTF-8 text") from error
    text, blank, tail = whole.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or _has_control(whole) or lines.pop() != "" or not 0 < len(lines) <= _MOST_SIGNATURES:
        raise EvidenceInvalid("the note is not a text, a blank line and signature lines")
    return text + "\n", lines


def _has_control(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)
