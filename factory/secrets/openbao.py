"""The door to OpenBao, with ``openbao_wire`` the only importer of hvac: values by version, logins, leases, wrapping."""

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
    """One server as one token sees it. ``ca`` is a file of certificates, ``timeout`` seconds for one request.

    Raises ``Refused`` for an address that is neither https nor on loopback. Every method raises ``Unreachable`` where
    the server does not answer or keeps failing, ``Unauthorized`` for a bad token, ``Refused`` for one that may not.
    """

    def __init__(self, address: str, *, token: Secret | None = None, ca: str = "", timeout: float = 10.0) -> None:
        refuse_plain(address)
        self.address = address.rstrip("/")
        self._ca, self._timeout = ca, timeout
        # hvac looks for a token of its own in the environment and the home folder where it is given none at all.
        given = token.reveal() if token else ""
        self._client = hvac.Client(
            url=self.address, token=given, verify=ca or True, timeout=timeout, adapter=Adapter, allow_redirects=False
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

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return the newest version of a secret; raises ``NotFound``, ``Refused`` and ``Unauthorized``."""
        answer = self._client.secrets.kv.v2.read_secret_version(
            path=place.path, mount_point=MOUNT, raise_on_deleted_version=True
        )
        data, kept = inside(answer, "data", "data"), inside(answer, "data", "metadata")
        if not isinstance(data.get(_FIELD), str):
            raise InvalidInput(f"the secret {place.path} has no field {_FIELD!r} that is a text")
        return StoredSecret(Secret(data[_FIELD]), kept["version"], kept["created_time"])

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
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
        return int(inside(answer, "data", "version"))

    def history(self, path: str) -> tuple[Version, ...]:
        """Return the versions of a secret, oldest first; none where it does not exist."""
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
        """Return a token that gives these values to whoever shows it first, within ``seconds``."""
        payload = {name: value.reveal() for name, value in values.items()}
        return Secret(inside(self._client.sys.wrap(payload, ttl=seconds), "wrap_info", "token"))

    def unwrap(self, token: Secret) -> dict[str, Secret]:
        """Return what was wrapped; raises ``Refused`` where the token was used before, expired, or is none."""
        try:
            answer = self.again(token)._client.sys.unwrap()  # noqa: SLF001 - OpenBao takes the wrapping token as the client's own
        except (InvalidInput, Unauthorized, Refused):
            raise Refused(
                "the wrapping token was used before, has expired, or is none",
                hint="If nobody you know used it, what it held is known to somebody else: make it anew.",
            ) from None
        return {name: Secret(str(value)) for name, value in inside(answer, "data").items()}

    def renew(self, seconds: int) -> Login:
        """Make the own token last longer, at most ``seconds`` and its role's limit."""
        return _login(self._client.auth.token.renew_self(increment=seconds))

    def lookup(self) -> Mapping[str, Any]:
        """Return what the server knows of the own token: ``ttl``, ``policies``, ``path``, ``meta`` and more."""
        found: Mapping[str, Any] = inside(self._client.auth.token.lookup_self(), "data")
        return {name: value for name, value in found.items() if name != "id"}

    def revoke(self) -> None:
        """End the own token, and all that was given by it."""
        self._client.auth.token.revoke_self()

    def health(self) -> Health:
        """Return how the server is; it answers without a token. Raises ``Unreachable``."""
        ways = "standbyok=true&uninitcode=200&sealedcode=200&standbycode=200&perfstandbyok=true"
        answer = self._client.adapter.get(f"/v1/sys/health?{ways}")
        begun, sealed, standby = (bool(inside(answer, name)) for name in ("initialized", "sealed", "standby"))
        return Health(begun, sealed, begun and not sealed and not standby, str(inside(answer, "version")))

    def initialise(self) -> tuple[Secret, Secret]:
        """Initialise a fresh server whose seal opens by itself; return its root token and its one recovery key."""
        answer = self._client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        return Secret(inside(answer, "root_token")), Secret(inside(answer, "recovery_keys_base64")[0])

    def read(self, path: str) -> Mapping[str, Any]:
        """Return the ``data`` of a path of the API; raises ``NotFound``."""
        found: Mapping[str, Any] = inside(self._client.adapter.get(f"/v1/{path}"), "data")
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
    auth = inside(answer, "auth")
    token, seconds, renewable, policies = (
        inside(auth, name) for name in ("client_token", "lease_duration", "renewable", "policies")
    )
    return Login(Secret(token), int(seconds), bool(renewable), tuple(policies))
