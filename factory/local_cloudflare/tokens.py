"""API tokens of the loopback double: which ones it takes."""

import re
from typing import Literal

from factory.errors import Refused

Scope = Literal["read", "write"]
PREFIX = "local-"

_REAL_TOKEN = re.compile(r"[A-Za-z0-9_-]{40}")


def refuse_foreign(token: str) -> None:
    """Raise ``Refused`` for a token that is not of the loopback double; the message never shows the token.

    Cloudflare's API tokens are 40 characters of ``[A-Za-z0-9_-]``; ours begin with ``local-``.
    """
    if token.startswith(PREFIX):
        return
    what = "looks like a real Cloudflare API token" if _REAL_TOKEN.fullmatch(token) else f"does not begin with {PREFIX}"
    raise Refused(
        f"the loopback Cloudflare was given a token that {what}",
        hint=f"Real tokens never go to the double: use one that begins with {PREFIX}.",
    )


def bearer(authorization: str | None) -> str | None:
    """Return the bearer token of an ``Authorization`` header, or ``None`` where there is none."""
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None
