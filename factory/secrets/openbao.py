"""Client of OpenBao: secret versions, logins, leases and wrapping. Only it and ``openbao_wire`` import hvac."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hvac

from factory.errors import Conflict, InvalidInput, NotFound, Refused, Unauthorized
from factory.model.secret import Secret, SecretLocation, StoredSecret
from factory.secrets.openbao_wire import Adapter, inside, refuse_plain

MOUNT = "factory"
JWT, APPROLE = "jwt", "approle"
_FIELD = "value"


@dataclass(frozen=True)
class Login:
    """The token of a login: its lifetime in seconds, whether it can be renewed, and its policies."""

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
    """The state of a server; ``active`` means that it is initialised, unsealed and not a standby."""

    initialized: bool
    sealed: bool
    active: bool
    version: str


class OpenBao:
    """Client of one server with one token. ``ca`` is a file of certificates, ``timeout`` is in seconds per request.

    Raises ``Refused`` for an address that is neither https nor on loopback. Every method raises ``Unreachable`` if the
    server does not answer or keeps failing, ``Unauthorized`` for a bad token and ``Refused`` for a missing permission.
    """

    def __init__(self, address: str, *, token: Secret | None = None, ca: str = "", timeout: float = 10.0) -> None:
        refuse_plain(address)
        self.address = address.rstrip("/")
        self._ca, self._timeout = ca, timeout
        # If ``token`` is None, hvac reads a token from the environment or the home folder.
        text = token.reveal() if token else ""
        self._client = hvac.Client(
            url=self.address, token=text, verify=ca or True, timeout=timeout, adapter=Adapter, allow_redirects=False
        )
        self._client.session.trust_env = False

    def again(self, token: Secret) -> "OpenBao":
        """Return a separate connection to the same server with another token."""
        return OpenBao(self.address, token=token, ca=self._ca, timeout=self._timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.adapter.close()

    def login_jwt(self, role: str, token: Secret) -> Login:
        """Log in as a job with its ID token; raises ``Unauthorized`` if the role does not accept the token."""
        return self._login(f"auth/{JWT}/login", {"role": role, "jwt": token.reveal()})

    def login_approle(self, role_id: str, secret_id: Secret) -> Login:
        """Log in as a machine; raises ``Unauthorized`` if the pair is unknown or was used up."""
        return self._login(f"auth/{APPROLE}/login", {"role_id": role_id, "secret_id": secret_id.reveal()})

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return the newest version of a secret; raises ``NotFound``, ``Refused`` and ``Unauthorized``."""
        answer = self._client.secrets.kv.v2.read_secret_version(
            path=place.path, mount_point=MOUNT, raise_on_deleted_version=True
        )
        data, metadata = inside(answer, "data", "data"), inside(answer, "data", "metadata")
        if not isinstance(data.get(_FIELD), str):
            raise InvalidInput(f"the secret {place.path} has no text in the field {_FIELD!r}")
        return StoredSecret(Secret(data[_FIELD]), metadata["version"], metadata["created_time"])

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Write a new version and return its number.

        ``version`` is the expected current version (0: none yet). Raises ``Conflict`` if the current version differs.
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
                hint="Check the new version with `factory secrets get`, then put your value again.",
            ) from None
        return int(inside(answer, "data", "version"))

    def history(self, path: str) -> tuple[Version, ...]:
        """Return the versions of a secret, oldest first; empty if the secret does not exist."""
        try:
            answer = self._client.secrets.kv.v2.read_secret_metadata(path=path, mount_point=MOUNT)
        except NotFound:
            return ()
        found = inside(answer, "data", "versions")
        return tuple(
            Version(int(number), item["created_time"], bool(item["deletion_time"]) or item["destroyed"])
            for number, item in sorted(found.items(), key=lambda pair: int(pair[0]))
        )

    def names(self, folder: str = "") -> tuple[str, ...]:
        """Return the paths of all secrets below a folder, sorted."""
        try:
            answer = self._client.secrets.kv.v2.list_secrets(path=folder, mount_point=MOUNT)
        except NotFound:
            return ()
        found: list[str] = []
        for key in inside(answer, "data", "keys"):
            found += self.names(folder + key) if key.endswith("/") else [folder + key]
        return tuple(sorted(found))

    def wrap(self, values: Mapping[str, Secret], *, seconds: int) -> Secret:
        """Return a wrapping token for these values; it works once, within ``seconds``."""
        payload = {name: value.reveal() for name, value in values.items()}
        return Secret(inside(self._client.sys.wrap(payload, ttl=seconds), "wrap_info", "token"))

    def unwrap(self, token: Secret) -> dict[str, Secret]:
        """Return the wrapped values; raises ``Refused`` if the token was already used, has expired or is invalid."""
        try:
            answer = self.again(token)._client.sys.unwrap()  # noqa: SLF001 - the wrapping token must be the client's
        except (InvalidInput, Unauthorized, Refused):
            raise Refused(
                "the wrapping token was already used, has expired or is invalid",
                hint="If you did not use it, somebody else may know the wrapped secret: create a new one.",
            ) from None
        return {name: Secret(str(value)) for name, value in inside(answer, "data").items()}

    def renew(self, seconds: int) -> Login:
        """Renew the client's token for at most ``seconds`` and at most its role's limit."""
        return _login(self._client.auth.token.renew_self(increment=seconds))

    def lookup(self) -> Mapping[str, Any]:
        """Return the server's data on the client's token: ``ttl``, ``policies``, ``path``, ``meta`` and more."""
        found: Mapping[str, Any] = inside(self._client.auth.token.lookup_self(), "data")
        return {name: value for name, value in found.items() if name != "id"}

    def revoke(self) -> None:
        """Revoke the client's token and all tokens and leases created with it."""
        self._client.auth.token.revoke_self()

    def health(self) -> Health:
        """Return the server's health, which needs no token; raises ``Unreachable``."""
        query = "standbyok=true&uninitcode=200&sealedcode=200&standbycode=200&perfstandbyok=true"
        answer = self._client.adapter.get(f"/v1/sys/health?{query}")
        initialized, sealed, standby = (bool(inside(answer, name)) for name in ("initialized", "sealed", "standby"))
        return Health(initialized, sealed, initialized and not sealed and not standby, str(inside(answer, "version")))

    def initialise(self) -> tuple[Secret, Secret]:
        """Initialise a new server that unseals itself; return its root token and its only recovery key."""
        answer = self._client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        return Secret(inside(answer, "root_token")), Secret(inside(answer, "recovery_keys_base64")[0])

    def read(self, path: str) -> Mapping[str, Any]:
        """Return the ``data`` of an API path; raises ``NotFound``."""
        found: Mapping[str, Any] = inside(self._client.adapter.get(f"/v1/{path}"), "data")
        return found

    def write(self, path: str, data: Mapping[str, Any], *, wrapped: int = 0) -> Mapping[str, Any]:
        """Write to an API path and return the response; if ``wrapped``, it is wrapped for that many seconds."""
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
    auth = inside(answer, "auth")
    token, seconds, renewable, policies = (
        inside(auth, name) for name in ("client_token", "lease_duration", "renewable", "policies")
    )
    return Login(Secret(token), int(seconds), bool(renewable), tuple(policies))
