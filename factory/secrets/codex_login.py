"""Reads the login that Codex keeps for a plan, and lets Codex itself renew it.

The file ``auth.json`` belongs to the person and to Codex: this module never writes it, and sends its tokens nowhere.
"""

import base64
import binascii
import json
import select
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import FactoryError, ToolTimeout, Unauthorized
from factory.system import clock, files, process

_LARGEST = 1_000_000
_LONGEST = 20_000
_REFRESH_SECONDS = 60.0
_HINT = "Log in with `codex login`; see docs/agents.md, Your subscription."
# What Codex needs of the person's environment: where it keeps its login, and how it reaches its provider.
_PASSED = (
    "HOME",
    "CODEX_HOME",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
    "LANG",
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "SSL_CERT_FILE"),
)
# Codex asks for nothing else than the new token (codex app-server, account/read).
_ARGUMENTS = ("-c", "features.plugins=false", "-c", "analytics.enabled=false", "app-server")
_ASK = 2


@dataclass(frozen=True)
class CodexLogin:
    """A login: bearer token, account, and all secret texts of the file. ``expires`` is in seconds since 1970, if known.

    Codex renews a login itself if it has a refresh token.
    """

    access: str = field(repr=False)
    account: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    expires: int | None = None

    def expired(self, *, within: float) -> bool:
        """Return whether the token expires in less than ``within`` seconds; an unknown expiry is none."""
        return self.expires is not None and self.expires < clock.now().timestamp() + within


def path(environment: Mapping[str, str]) -> Path:
    """Return where Codex keeps a person's login."""
    home = environment.get("CODEX_HOME") or Path(environment.get("HOME") or "/") / ".codex"
    return Path(home) / "auth.json"


def read(source: Path) -> CodexLogin:
    """Return the login in a file; raises ``Unauthorized`` if there is none that the factory may use."""
    try:
        data, longer = files.read_untrusted(source.resolve(), _LARGEST)
        mode = source.stat().st_mode
    except (FactoryError, OSError, RuntimeError):  # a loop of links is an OSError or a RuntimeError
        raise _unusable(source, "there is no such file") from None
    if mode & 0o077:
        raise Unauthorized(f"{source} can be read by others", hint=f"Make it private: chmod 600 {source}")
    if longer:
        raise _unusable(source, f"it is larger than {_LARGEST} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _unusable(source, "it is not JSON") from None
    tokens = found.get("tokens") if isinstance(found, dict) else None
    if not isinstance(tokens, dict) or found.get("auth_mode", "chatgpt") != "chatgpt":
        raise _unusable(source, "it has no login of a plan")
    access, account = _text(tokens, "access_token"), _text(tokens, "account_id")
    if not access or not account:
        raise _unusable(source, "it has no usable token and account")
    secrets = [access, _text(tokens, "refresh_token"), _text(tokens, "id_token")]
    return CodexLogin(access, account, tuple(item for item in secrets if item), _expiry(access))


def renew(source: Path, program: str, environment: Mapping[str, str], search: str) -> CodexLogin:
    """Let the program ``codex`` renew its login, outside every sandbox as the person, and return the new one.

    ``search`` is the ``PATH`` of the program. Raises ``Unauthorized`` if the login is the same afterwards.
    """
    before = read(source)
    env = {name: environment[name] for name in _PASSED if name in environment} | {"PATH": search}
    with suppress(FactoryError, OSError):
        _ask(program, env)
    after = read(source)
    if after.access == before.access:
        raise Unauthorized("Codex could not renew its login", hint=_HINT)
    return after


def _ask(program: str, env: Mapping[str, str]) -> None:
    """Ask Codex to renew its login, and wait for its answer: if its input ended sooner, a new token could be lost."""
    argv = [program, *_ARGUMENTS]
    group = process.start(argv, env=env, cwd=Path("/"), stdin=process.PIPE, stdout=process.PIPE)
    requests: tuple[Mapping[str, object], ...] = (
        {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "factory", "version": "1"}}},
        {"method": "initialized"},
        {"id": _ASK, "method": "account/read", "params": {"refreshToken": True}},
    )
    try:
        assert group.popen.stdin is not None and group.popen.stdout is not None  # noqa: S101, PT018 - they are pipes
        group.popen.stdin.write("".join(f"{json.dumps(item)}\n" for item in requests).encode())
        group.popen.stdin.flush()
        deadline, said = clock.monotonic() + _REFRESH_SECONDS, b""
        while not any(_answers(line) for line in said.splitlines()):
            if not select.select([group.popen.stdout], [], [], max(0.0, deadline - clock.monotonic()))[0]:
                raise ToolTimeout(f"{program} did not answer within {_REFRESH_SECONDS:g} s")
            chunk = group.read()
            if not chunk or len(said) > _LARGEST:
                return
            said += chunk
    finally:
        group.kill()
        group.close()


def _answers(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("id") == _ASK


def _unusable(source: Path, why: str) -> Unauthorized:
    return Unauthorized(f"Codex has no login of a plan in {source}: {why}", hint=_HINT)


def _text(tokens: Mapping[str, object], name: str) -> str:
    """Return a token that can stand in a header; empty for anything else."""
    found = tokens.get(name)
    usable = isinstance(found, str) and len(found) <= _LONGEST and found.isascii() and found.isprintable()
    return found.strip() if usable and isinstance(found, str) else ""


def _expiry(token: str) -> int | None:
    """Return the ``exp`` of a JWT, which nobody verifies here; ``None`` if it has none."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7519: header, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError, binascii.Error):
        return None
    found = claims.get("exp") if isinstance(claims, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 10**11 else None
