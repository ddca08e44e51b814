"""Checks which API tokens the loopback double accepts."""

import re
from typing import Literal

from factory.errors import Refused

Scope = Literal["read", "write"]
PREFIX = "local-"

_REAL_TOKEN = re.compile(r"[A-Za-z0-9_-]{40}")


def refuse_foreign(token: str) -> None:
    """Raise ``Refused`` for a token that is not of the loopback double; the message never shows the token.

    Cloudflare's API tokens have 40 characters of ``[A-Za-z0-9_-]``; the double's tokens begin with ``local-``.
    """
    if token.startswith(PREFIX):
        return
    what = "looks like a real Cloudflare API token" if _REAL_TOKEN.fullmatch(token) else f"does not begin with {PREFIX}"
    raise Refused(
        f"the token for the loopback Cloudflare {what}",
        hint=f"Never send a real token to the double; use a token that begins with {PREFIX}.",
    )


def bearer(authorization: str | None) -> str | None:
    """Return the bearer token of an ``Authorization`` header, or ``None``."""
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None
