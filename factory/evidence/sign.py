"""Signs and verifies DSSE envelopes with Ed25519; the only module that uses securesystemslib and cryptography.

securesystemslib is imported where it is used: it takes half a second, which reading statements need not wait for.

Specification: https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md). Public keys are the 64 hex
digits of RFC 8032; a key's id is the one that securesystemslib derives from it.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from factory.errors import EvidenceInvalid, InvalidInput

if TYPE_CHECKING:
    # The package documents these names but exports them in a way that mypy cannot read.
    from securesystemslib.signer import Key, Signature  # type: ignore[attr-defined]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNATURE_BYTES = 64


def generate(passphrase: str = "") -> bytes:
    """Return a new Ed25519 private key as PEM (PKCS 8), encrypted if there is a passphrase."""
    sealed = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


class Signer:
    """Signs with one Ed25519 private key.

    Raises ``InvalidInput`` if the PEM contains anything else, or is encrypted with another passphrase.
    """

    def __init__(self, private_pem: bytes, passphrase: str = "") -> None:
        sealed = b"ENCRYPTED" in private_pem
        try:
            key = load_pem_private_key(private_pem, password=passphrase.encode() if sealed and passphrase else None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            if sealed:
                problem = "the signing key is sealed, and the passphrase is missing or wrong"
                raise InvalidInput(
                    problem, hint="Set FACTORY_KEY_PASSPHRASE or FACTORY_KEY_PASSPHRASE_COMMAND."
                ) from error
            raise InvalidInput("the signing key is not a private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput("the signing key is not an Ed25519 key")
        from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

        self._signer = CryptoSigner(key)
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self.keyid = self._signer.public_key.keyid

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature (RFC 8032) over ``data``, without an encoding around it."""
        return bytes.fromhex(self._signer.sign(data).signature)

    def seal(self, payload: bytes, payload_type: str) -> dict[str, Any]:
        """Return a DSSE envelope with this key's signature over PAE(payload_type, payload)."""
        from securesystemslib.dsse import Envelope  # noqa: PLC0415 - see above

        envelope = Envelope(payload, payload_type, {})
        envelope.sign(self._signer)
        return envelope.to_dict()


def seal(payload: bytes, signer: Signer) -> dict[str, Any]:
    """Return the DSSE envelope of an in-toto payload as a JSON value."""
    return signer.seal(payload, PAYLOAD_TYPE)


def keyid_of(public: str) -> str:
    """Return the id of a public key; raises ``InvalidInput`` unless it is an Ed25519 key in lower-case hex."""
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

    try:
        raw = bytes.fromhex(public)
        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{public!r} is not an Ed25519 public key in hex") from error
    if raw.hex() != public:
        raise InvalidInput(f"{public!r} is not an Ed25519 public key in lower-case hex")
    return key.keyid


def signature_holds(public: str, signature: bytes, data: bytes) -> bool:
    """Return whether ``signature`` over ``data`` is valid for the public key."""
    from securesystemslib.exceptions import UnverifiedSignatureError  # noqa: PLC0415 - see above
    from securesystemslib.signer import Signature  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

    try:
        _key("", public).verify_signature(Signature("", signature.hex()), data)
    except UnverifiedSignatureError:
        return False
    return True


def payload_of(envelope: Any, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the payload of an envelope without verifying its signatures; raises ``EvidenceInvalid``.

    Accepts exactly the fields of the DSSE JSON envelope, the payload type and canonical base64.
    """
    if not isinstance(envelope, Mapping) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise EvidenceInvalid("the envelope must have exactly the fields payload, payloadType and signatures")
    if envelope["payloadType"] != payload_type:
        raise EvidenceInvalid(f"the payload type is {envelope['payloadType']!r}, not {payload_type!r}")
    return decode_base64(envelope["payload"])


def open_envelope(envelope: Any, trusted: Mapping[str, str], *, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the payload of an envelope that only trusted keys (key id to public key) have signed.

    Raises ``EvidenceInvalid`` if any signature is untrusted or invalid; DSSE alone would accept one valid signature
    among others.
    """
    from securesystemslib.dsse import Envelope  # noqa: PLC0415 - see above
    from securesystemslib.exceptions import UnverifiedSignatureError  # noqa: PLC0415 - see above

    payload = payload_of(envelope, payload_type)
    signatures = _signatures(envelope["signatures"])
    for keyid in signatures:
        if keyid not in trusted:
            raise EvidenceInvalid(f"the key {keyid} is not trusted")
    keys = [_key(keyid, trusted[keyid]) for keyid in signatures]
    try:
        # Envelope.from_dict would change its argument and accept url-safe base64 and unknown fields.
        Envelope(payload, payload_type, signatures).verify(keys, threshold=len(keys))
    except (UnverifiedSignatureError, ValueError) as error:
        raise EvidenceInvalid(f"a signature by {', '.join(signatures)} is invalid") from error
    return payload


def decode_base64(text: Any) -> bytes:
    """Return the bytes of standard base64 (RFC 4648 section 4) in its canonical form; raises ``EvidenceInvalid``."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    # The last character can have unused bits, so several texts decode to the same bytes; accept only the canonical one.
    if data is None or base64.b64encode(data).decode() != text:
        raise EvidenceInvalid("the base64 text is malformed")
    return data


def _signatures(value: Any) -> "dict[str, Signature]":
    from securesystemslib.signer import Signature  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

    if not isinstance(value, list) or not value:
        raise EvidenceInvalid("the envelope has no signature")
    found: dict[str, Signature] = {}
    for item in value:
        if not isinstance(item, Mapping) or set(item) != {"keyid", "sig"} or not isinstance(item["keyid"], str):
            raise EvidenceInvalid("a signature must have exactly the fields keyid and sig")
        signature = decode_base64(item["sig"])
        if len(signature) != SIGNATURE_BYTES:
            raise EvidenceInvalid(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        if item["keyid"] in found:
            raise EvidenceInvalid(f"the key {item['keyid']} signed twice")
        found[item["keyid"]] = Signature(item["keyid"], signature.hex())
    return found


@cache
def _key(keyid: str, public: str) -> "Key":
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public})
