"""Sets up the secret store: the encrypted file, or an OpenBao server with mount, policies, roles and bindings."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from factory.errors import InvalidInput, NotFound, Refused, Unauthorized, Unreachable
from factory.model.secret import Secret
from factory.operations.secret_store import Store
from factory.secrets import file, lease, server, setup
from factory.secrets.openbao import OpenBao
from factory.system import files

# How long a machine's wrapped login is valid: a person must have time to copy it.
WRAPPED_SECONDS = 600


def encrypted_file(store: Store, *, passphrase: bool) -> dict[str, object]:
    """Create the encrypted file's key, or ask for a passphrase; raises ``Refused`` if the file uses the other one."""
    files.private_folder(store.folder)
    if store.encrypted.exists() and store.by_passphrase.exists() is not passphrase:
        raise Refused(
            f"{store.encrypted} is already encrypted with a {'key file' if passphrase else 'passphrase'}",
            hint="Move the file away, run `factory secrets init` again, and put the values again.",
        )
    if passphrase:
        key = file.passphrase_key(store.ask("Passphrase", twice=True, only_terminal=True))
        files.write_atomic(store.by_passphrase, b"", mode=0o600)
    else:
        key = file.made_key(store.key)
    file.EncryptedFile(store.encrypted, key).names()
    return {"provider": "file", "file": str(store.encrypted), "key": "passphrase" if passphrase else str(store.key)}


def openbao(store: Store, issuer: Callable[[], setup.Issuer]) -> dict[str, object]:
    """Set up the server that policy names, else the local one; every step may be repeated.

    ``issuer`` returns the project from which id tokens are accepted, or raises an error.
    """
    environments = sorted(store.policies.environments.environments)
    if store.policies.secrets.address:
        with closing(OpenBao(store.address, token=store.ask("Token with permission to set up the server"))) as made:
            setup.configure(made, environments)
            bound = _trust(issuer, made, environments)
    else:
        bound = _local(store, issuer, environments)
    return {"provider": "openbao", "address": store.address, "environments": environments, "id_tokens": bound}


def machine(made: OpenBao, environment: str, target: Path) -> dict[str, object]:
    """Write a machine's login to a private file; the secret id is wrapped, so that it can be unwrapped only once."""
    name = lease.role(environment)
    role_id, wrapped = setup.machine(made, name, wrapped=WRAPPED_SECONDS)
    value = {"address": made.address, "role_id": role_id, "wrapped_secret_id": wrapped.reveal()}
    files.write_atomic(target, json.dumps(value).encode(), mode=0o600)
    return {"role": name, "file": str(target), "seconds": WRAPPED_SECONDS}


def take_machine(store: Store, source: Path) -> None:
    """Unwrap a machine's login and store it; raises ``Refused`` if it was already unwrapped."""
    try:
        given = json.loads(files.read_text(source))
        address, role_id, wrapped = (str(given[name]) for name in ("address", "role_id", "wrapped_secret_id"))
    except (ValueError, KeyError, TypeError):
        hint = "Create one with `factory secrets machine`."
        raise InvalidInput(f"{source} is not a machine's login", hint=hint) from None
    with closing(OpenBao(address)) as made:
        secret_id = made.unwrap(Secret(wrapped))["secret_id"]
    store.keep("approle", {"address": address, "role_id": role_id, "secret_id": secret_id.reveal()})
    (store.folder / "login.json").unlink(missing_ok=True)


def _local(store: Store, issuer: Callable[[], setup.Issuer], environments: list[str]) -> str:
    """Set up the local server: the first time with its root token, which is then revoked, later as the operator."""
    server.start(store.local)
    found = server.ready(store.local)
    token = server.root_token(store.local)
    if token is None:
        with closing(found), lease.held(found, store.login(found)):
            setup.configure(found, environments)
            return _trust(issuer, found, environments)
    with closing(found.again(token)) as root:
        setup.configure(root, environments)
        role_id, secret_id = setup.machine(root, setup.OPERATOR)
        store.keep("approle", {"address": root.address, "role_id": role_id, "secret_id": secret_id.reveal()})
        bound = _trust(issuer, root, environments)
    server.forget_root(store.local)
    return bound


def _trust(issuer: Callable[[], setup.Issuer], made: OpenBao, environments: list[str]) -> str:
    """Bind the roles to the project's protected branch; return ``bound``, or why this is not possible yet."""
    try:
        setup.trust(made, issuer(), environments)
    except (NotFound, Unreachable, Unauthorized, InvalidInput) as error:
        return f"not yet: {error}"
    return "bound"
