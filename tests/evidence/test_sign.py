import base64
import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import sign
from tests.evidence.examples import private_pem, signer

KEY = signer()
TRUSTED = {KEY.keyid: KEY.public}
ENVELOPE = sign.seal(b'{"a":1}', KEY)


def altered(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ENVELOPE), **changes}


def with_signature(**changes: Any) -> dict[str, Any]:
    return altered(signatures=[{**ENVELOPE["signatures"][0], **changes}])


@given(st.binary(max_size=200))
def test_an_envelope_opens_to_its_payload(payload: bytes) -> None:
    assert sign.open_envelope(sign.seal(payload, KEY), TRUSTED) == payload


def test_the_signature_covers_the_pre_authentication_encoding_of_dsse() -> None:
    signature = base64.b64decode(ENVELOPE["signatures"][0]["sig"])
    pae = b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}'
    assert sign.signature_holds(KEY.public, signature, pae)


def test_another_dsse_reader_opens_the_envelope() -> None:
    assert Envelope.from_dict(copy.deepcopy(ENVELOPE)).payload == b'{"a":1}'


def test_opening_leaves_the_envelope_as_it_was() -> None:
    before = copy.deepcopy(ENVELOPE)
    sign.open_envelope(ENVELOPE, TRUSTED)
    sign.open_envelope(ENVELOPE, TRUSTED)
    assert before == ENVELOPE


def test_a_generated_key_signs() -> None:
    made = sign.Signer(sign.generate())
    assert sign.keyid_of(made.public) == made.keyid
    assert sign.signature_holds(made.public, made.sign(b"text"), b"text")
    assert not sign.signature_holds(made.public, made.sign(b"text"), b"other")
    assert not sign.signature_holds(made.public, b"short", b"text")


def test_the_key_of_rfc_8032_test_1_gives_its_signature() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    made = sign.Signer(private_pem(seed))
    assert made.public == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert made.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


SIG = ENVELOPE["signatures"][0]["sig"]
FLIPPED = base64.b64encode(bytes([base64.b64decode(SIG)[0] ^ 1]) + base64.b64decode(SIG)[1:]).decode()


@pytest.mark.parametrize(
    "envelope",
    [
        None,
        [],
        {},
        altered(extra=1),
        altered(payloadType="application/json"),
        altered(payload=None),
        altered(payload=ENVELOPE["payload"] + "\n"),
        altered(payload=" " + ENVELOPE["payload"]),
        altered(payload=ENVELOPE["payload"].rstrip("=")),
        altered(payload="eyJhIjoxfR=="),
        altered(payload="\u00e9"),
        altered(payload=base64.b64encode(b'{"a":2}').decode()),
        altered(signatures=[]),
        altered(signatures={}),
        altered(signatures=["x"]),
        altered(signatures=ENVELOPE["signatures"] * 2),
        altered(signatures=[*ENVELOPE["signatures"], *sign.seal(b'{"a":1}', signer("stranger"))["signatures"]]),
        with_signature(extra=1),
        with_signature(keyid=1),
        with_signature(keyid=signer("stranger").keyid),
        with_signature(sig=FLIPPED),
        with_signature(sig=SIG.replace("=", "")),
        with_signature(sig=base64.urlsafe_b64encode(b"\xff" * 64).decode()),
        with_signature(sig=base64.b64encode(b"short").decode()),
        sign.seal(b'{"a":1}', signer("stranger")),
        KEY.seal(b'{"a":1}', "application/json"),
    ],
)
def test_any_other_envelope_is_refused(envelope: Any) -> None:
    with pytest.raises(EvidenceInvalid):
        sign.open_envelope(envelope, TRUSTED)


def test_a_trusted_id_over_another_key_does_not_open() -> None:
    with pytest.raises(EvidenceInvalid):
        sign.open_envelope(ENVELOPE, {KEY.keyid: signer("stranger").public})
    with pytest.raises(EvidenceInvalid):
        sign.open_envelope(ENVELOPE, {KEY.keyid: "not hex"})


def test_an_envelope_of_two_trusted_keys_opens() -> None:
    other = signer("second")
    envelope = altered(signatures=[*ENVELOPE["signatures"], *sign.seal(b'{"a":1}', other)["signatures"]])
    assert sign.open_envelope(envelope, {**TRUSTED, other.keyid: other.public}) == b'{"a":1}'


def test_a_key_of_another_kind_is_refused() -> None:
    curve = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (curve, b"no key", b""):
        with pytest.raises(InvalidInput):
            sign.Signer(pem)


@pytest.mark.parametrize("public", ["", "zz", "00", KEY.public.upper(), KEY.public + "00", f" {KEY.public}"])
def test_a_malformed_public_key_is_refused(public: str) -> None:
    with pytest.raises(InvalidInput):
        sign.keyid_of(public)
