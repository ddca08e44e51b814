"""The door to OpenBao: the only importer of hvac. Whatever goes wrong comes out as an error of ours.

Reads are tried again after 429 and 5xx. A write is tried again only where the server says that it did not take it
(429, 503): after another error nobody knows whether it was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import hvac
from hvac import adapters

from factory.errors import Conflict, FactoryError, InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.model.secret import Found, Place, Secret
from factory.system import clock

MOUNT = "factory"
JWT, APPROLE = "jwt", "approle"
_FIELD = "value"
_PAUSES = (0.2, 0.6, 1.8)
# A server that asks for more patience than this gets none: the caller is told instead.
_LONGEST_PAUSE = 10.0
_NOT_TAKEN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_READS = frozenset({"get", "list", "head"})
_LONGEST_REASON = 300
_BY_STATUS: Mapping[int, type[FactoryError]] = {
    HTTPStatus.BAD_REQUEST: InvalidInput,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: Refused,
    HTTPStatus.PRECONDITION_FAILED: Conflict,
}
_HINTS: Mapping[type[FactoryError], str] = {
    Unauthorized: "The token is wrong, expired or revoked; log in again with `factory secrets login`.",
    Refused: "The token's policy does not allow it; `factory secrets doctor` shows what it may do.",
    Unreachable: "Look with `factory secrets doctor`; `factory secrets init` starts the local server.",
    NotFound: "Store it with `factory secrets put`.",
}


@dataclass(frozen=True)
class Login:
    """A token that was given: how many seconds it lasts, whether it can be renewed, and its policies."""

    token: Secret
    seconds: int
    renewable: bool
    policies: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """One version of a secret, without its value."""

    number: int
    created: str
    gone: bool


@dataclass(frozen=True)
class Health:
    """Whether a server was initialised, is unsealed and answers requests itself (``active``), and its version."""

    initialized: bool
    sealed: bool
    active: bool
    version: str


class OpenBao:
    """One server as one token sees it. ``ca`` is a file of certificates, ``timeout`` seconds for one request."""

    def __init__(self, address: str, *, token: Secret | None = None, ca: str = "", timeout: float = 10.0) -> None:
        self.address = address.rstrip("/")
        self._ca, self._timeout = ca, timeout
        # hvac looks for a token of its own in the environment and the home folder where it is given none at all.
        given = token.reveal() if token else ""
        self._client = hvac.Client(
            url=self.address, token=given, verify=ca or True, timeout=timeout, adapter=_Adapter, allow_redirects=False
        )
        self._client.session.trust_env = False

    def again(self, token: Secret) -> "OpenBao":
        """Return a connection of its own to the same server with another token."""
        return OpenBao(self.address, token=token, ca=self._ca, timeout=self._timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.adapter.close()

    def login_jwt(self, role: str, token: Secret) -> Login:
        """Log in as a job by its id token; raises ``Unauthorized`` where role and token do not fit each other."""
        return self._login(f"auth/{JWT}/login", {"role": role, "jwt": token.reveal()})

    def login_approle(self, role_id: str, secret_id: Secret) -> Login:
        """Log in as a machine; raises ``Unauthorized`` where the pair is not known or was used up."""
        return self._login(f"auth/{APPROLE}/login", {"role_id": role_id, "secret_id": secret_id.reveal()})

    def get(self, place: Place) -> Found:
        """Return the newest version of a secret; raises ``NotFound``, ``Refused`` and ``Unauthorized``."""
        answer = self._client.secrets.kv.v2.read_secret_version(
            path=place.path, mount_point=MOUNT, raise_on_deleted_version=True
        )
        data, kept = answer["data"]["data"], answer["data"]["metadata"]
        if not isinstance(data.get(_FIELD), str):
            raise InvalidInput(f"the secret {place.path} has no field {_FIELD!r} that is a text")
        return Found(Secret(data[_FIELD]), kept["version"], kept["created_time"])

    def put(self, place: Place, value: Secret, *, version: int | None = None) -> int:
        """Write a new version and return its number.

        ``version`` is the one that it must follow (0: none yet). Raises ``Conflict`` where another one is there.
        """
        kv = self._client.secrets.kv.v2
        try:
            answer = kv.create_or_update_secret(
                path=place.path, secret={_FIELD: value.reveal()}, cas=version, mount_point=MOUNT
            )
        except InvalidInput:
            if version is None or version == self._newest(place.path):
                raise
            raise Conflict(
                f"{place.path} is not at version {version}: somebody else changed it",
                hint="Look with `factory secrets get` and put it again.",
            ) from None
        return int(answer["data"]["version"])

    def history(self, path: str) -> tuple[Version, ...]:
        """Return the versions of a secret, oldest first; none where it does not exist."""
        try:
            answer = self._client.secrets.kv.v2.read_secret_metadata(path=path, mount_point=MOUNT)
        except NotFound:
            return ()
        found = answer["data"]["versions"]
        return tuple(
            Version(int(number), item["created_time"], bool(item["deletion_time"]) or item["destroyed"])
            for number, item in sorted(found.items(), key=lambda pair: int(pair[0]))
        )

    def names(self, folder: str = "") -> tuple[str, ...]:
        """Return the paths of all secrets below a folder, sorted."""
        try:
            keys = self._client.secrets.kv.v2.list_secrets(path=folder, mount_point=MOUNT)["data"]["keys"]
        except NotFound:
            return ()
        found: list[str] = []
        for key in keys:
            found += self.names(folder + key) if key.endswith("/") else [folder + key]
        return tuple(sorted(found))

    def wrap(self, values: Mapping[str, Secret], *, seconds: int) -> Secret:
        """Return a token that gives these values to whoever shows it first, within ``seconds``."""
        payload = {name: value.reveal() for name, value in values.items()}
        return Secret(self._client.sys.wrap(payload, ttl=seconds)["wrap_info"]["token"])

    def unwrap(self, token: Secret) -> dict[str, Secret]:
        """Return what was wrapped; raises ``Refused`` where the token was used before, expired, or is none."""
        try:
            answer = self.again(token)._client.sys.unwrap()  # noqa: SLF001 - OpenBao takes the wrapping token as the client's own
        except (InvalidInput, Unauthorized, Refused):
            raise Refused(
                "the wrapping token was used before, has expired, or is none",
                hint="If nobody you know used it, what it held is known to somebody else: make it anew.",
            ) from None
        return {name: Secret(str(value)) for name, value in answer["data"].items()}

    def renew(self, seconds: int) -> Login:
        """Make the own token last longer, at most ``seconds`` and its role's limit."""
        return _login(self._client.auth.token.renew_self(increment=seconds))

    def lookup(self) -> Mapping[str, Any]:
        """Return what the server knows of the own token: ``ttl``, ``policies``, ``path``, ``meta`` and more."""
        found: Mapping[str, Any] = self._client.auth.token.lookup_self()["data"]
        return {name: value for name, value in found.items() if name != "id"}

    def revoke(self) -> None:
        """End the own token, and all that was given by it."""
        self._client.auth.token.revoke_self()

    def health(self) -> Health:
        """Return how the server is; it answers without a token. Raises ``Unreachable``."""
        ways = "standbyok=true&uninitcode=200&sealedcode=200&standbycode=200&perfstandbyok=true"
        found = self._client.adapter.get(f"/v1/sys/health?{ways}")
        active = found["initialized"] and not found["sealed"] and not found["standby"]
        return Health(found["initialized"], found["sealed"], active, found["version"])

    def initialise(self) -> tuple[Secret, Secret]:
        """Initialise a fresh server whose seal opens by itself; return its root token and its one recovery key."""
        answer = self._client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        return Secret(answer["root_token"]), Secret(answer["recovery_keys_base64"][0])

    def read(self, path: str) -> Mapping[str, Any]:
        """Return the ``data`` of a path of the API; raises ``NotFound``."""
        found: Mapping[str, Any] = self._client.adapter.get(f"/v1/{path}")["data"]
        return found

    def write(self, path: str, data: Mapping[str, Any], *, wrapped: int = 0) -> Mapping[str, Any]:
        """Write to a path of the API and return its answer; ``wrapped`` asks for it wrapped, for so many seconds."""
        answer = self._client.adapter.post(f"/v1/{path}", json=dict(data), wrap_ttl=wrapped or None)
        return answer if isinstance(answer, dict) else {}

    def _newest(self, path: str) -> int:
        return max((item.number for item in self.history(path)), default=0)

    def _login(self, path: str, data: Mapping[str, str]) -> Login:
        try:
            answer = self._client.adapter.post(f"/v1/{path}", json=dict(data))
        except (InvalidInput, Refused) as error:
            hint = "Compare the token's claims with the role's bindings: `factory secrets doctor`."
            raise Unauthorized(str(error), hint=hint) from None
        found = _login(answer)
        self._client.token = found.token.reveal()
        return found


def _login(answer: Mapping[str, Any]) -> Login:
    auth = answer["auth"]
    return Login(
        Secret(auth["client_token"]), int(auth["lease_duration"]), bool(auth["renewable"]), tuple(auth["policies"])
    )


class _Adapter(adapters.JSONAdapter):  # type: ignore[misc] # hvac has no types
    """Sends hvac's requests, again where that may help, and raises our errors."""

    def request(self, method: str, url: str, *, headers: Any = None, raise_exception: bool = True, **more: Any) -> Any:
        del raise_exception  # an answer that is an error is always raised
        pauses = iter(_PAUSES)
        while True:
            try:
                # A status that is an error comes back as the response itself.
                answer = super().request(method, url, headers=dict(headers or {}), raise_exception=False, **more)
            except OSError as error:  # every error of requests is one
                what = type(error).__name__
                raise Unreachable(
                    f"OpenBao did not answer at {self.base_uri} ({what})", hint=_HINTS[Unreachable]
                ) from None
            if isinstance(answer, dict) or answer.ok:
                return answer
            pause = next(pauses, None)
            wanted = _asked_for(answer, pause) if _may_repeat(method, answer.status_code) else None
            if wanted is None:
                raise self._told(method, url, answer, more)
            clock.sleep(wanted)

    def _told(self, method: str, url: str, answer: Any, sent: Mapping[str, Any]) -> FactoryError:
        """Return the error that an answer is."""
        status = answer.status_code
        kind = _BY_STATUS.get(status, Unreachable)
        if status == HTTPStatus.FORBIDDEN:
            kind = Refused if self._token_stands(url) else Unauthorized
        body = {name: value for name, value in (sent.get("json") or {}).items() if name != "role"}
        reason = _reason(answer, [self.token, *body.values()])
        text = f"OpenBao refused {url.removeprefix('/v1/')}: {reason} (HTTP {status})"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            text = f"OpenBao at {self.base_uri} fails: {reason} (HTTP {status})"
            if method not in _READS and status not in _NOT_TAKEN:
                text += "; whether it was done is not known"
        return kind(text, hint=_HINTS.get(kind))

    def _token_stands(self, url: str) -> bool:
        """Tell whether the server still knows the token: it answers 403 to a bad token and to a good one alike."""
        if not self.token or url.endswith("/lookup-self"):
            return False
        try:
            self.request("get", "/v1/auth/token/lookup-self")
        except FactoryError:
            return False
        return True


def _may_repeat(method: str, status: int) -> bool:
    return status in _NOT_TAKEN or (method in _READS and status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _asked_for(answer: Any, pause: float | None) -> float | None:
    """Return how long to wait before the next try: as the server asks, else as planned; ``None`` is not at all."""
    if pause is None:
        return None
    asked = answer.headers.get("Retry-After", "")
    wanted = float(asked) if asked.isdigit() else pause
    return wanted if wanted <= _LONGEST_PAUSE else None


def _reason(answer: Any, secrets: list[Any]) -> str:
    """Return the server's own words, without anything that was sent to it."""
    try:
        said = answer.json().get("errors")
    except (ValueError, AttributeError):
        said = None
    text = "; ".join(" ".join(str(item).split()) for item in said) if isinstance(said, list) and said else "no reason"
    for secret in secrets:
        for value in secret.values() if isinstance(secret, dict) else [secret]:
            if isinstance(value, str) and len(value) > 3:  # noqa: PLR2004 - a shorter one would blank words
                text = text.replace(value, "[hidden]")
    return text[:_LONGEST_REASON]
