"""OpenID Connect issuer: signing key, discovery document and public keys (docs: ID tokens).

The key is created once and stored in the state folder. Verifiers of id tokens read both documents without a token.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from factory.local_gitlab.serving.context import Context
from factory.system import files

ALGORITHM = "RS256"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/oauth/discovery/keys"
_BITS = 2048


def sign(context: Context, claims: Mapping[str, Any]) -> str:
    """Return a JWT with these claims, signed by the server's key."""
    key = _key(context.state / "id-token-key.pem")
    return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers={"kid": _key_id(key)})


def routes(context: Context) -> list[web.RouteDef]:
    """Return the two public routes."""

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response(_document(context.base_url))

    async def keys(_: web.Request) -> web.Response:
        key = _key(context.state / "id-token-key.pem")
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        shown = {name: public[name] for name in ("kty", "n", "e")}
        return web.json_response({"keys": [shown | {"kid": _key_id(key), "use": "sig", "alg": ALGORITHM}]})

    return [web.get(DISCOVERY, discovery), web.get(KEYS, keys)]


def _document(issuer: str) -> dict[str, Any]:
    """Return the part of GitLab's discovery document that verifiers of id tokens need."""
    return {
        "issuer": issuer,
        "jwks_uri": issuer + KEYS,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat"],
    }


@cache
def _key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        generated = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        text = generated.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.write_atomic(path, text, mode=0o600)
    key = serialization.load_pem_private_key(files.read_bytes(path), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path} does not contain an RSA key")
    return key


def _key_id(key: rsa.RSAPrivateKey) -> str:
    """Return the key's id: the start of the SHA-256 of the public key."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return digest.finalize().hex()[:43]
