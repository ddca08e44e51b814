"""``factory secrets``: stores secrets, logs in to their store, and copies them to CI variables."""

import secrets
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.cli.prompt import typed
from factory.errors import GateFailed, InvalidInput, NotFound, Refused
from factory.gitlab.connect import project_id
from factory.model.gitlab import MAIN
from factory.model.secret import Secret, SecretLocation
from factory.operations import secret_doctor, secret_setup, secret_sync
from factory.operations.secret_store import Store
from factory.reports.tables import table
from factory.secrets import lease, setup
from factory.secrets.openbao import Login, OpenBao
from factory.system import clock, files

_GENERATED_BYTES = 32
_ENVIRONMENT = click.option(
    "--environment", metavar="NAME", help="The environment, if the secret has a value for each."
)


@click.group()
def command() -> None:
    """Store secrets in an encrypted file or in OpenBao, and copy them to CI variables.

    Values are entered at a hidden prompt or read from standard input, never given as arguments; --json never prints
    one.
    """


@command.command()
@click.option(
    "--provider",
    type=click.Choice(["openbao", "file"]),
    help="The store to set up (default: the one in policies/secrets.yml).",
)
@click.option("--passphrase", is_flag=True, help="Encrypt the file with a passphrase instead of a key file.")
@output.as_json
def init(provider: str | None, passphrase: bool, as_json: bool) -> None:
    """Set up the encrypted file, or OpenBao: the local server or the one in policies/secrets.yml.

    On OpenBao this creates a mount, policies, and roles for this project's protected branch and each environment.
    """
    store = _store()
    chosen = provider or store.policies.secrets.provider
    if chosen == "environment":
        raise InvalidInput(
            "the provider `environment` needs no setup; choose another with --provider and in policies/secrets.yml"
        )
    if passphrase and chosen != "file":
        raise InvalidInput("--passphrase needs --provider file")
    done = (
        secret_setup.encrypted_file(store, passphrase=passphrase)
        if chosen == "file"
        else secret_setup.openbao(store, lambda: _issuer(store))
    )
    text = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in done.items())
    if chosen != store.policies.secrets.provider:
        text += f"\nnext: set `provider: {chosen}` in policies/secrets.yml"
    output.one(done, json_wanted=as_json, text=text)


@command.command()
@click.option(
    "--with",
    "way",
    type=click.Choice(["id-token", "approle", "token"]),
    help="The login method (default: the available one).",
)
@click.option("--from-file", type=click.Path(path_type=Path), help="A login file from `factory secrets machine`.")
@click.option("--environment", metavar="NAME", help="The environment that this job deploys to.")
@output.as_json
def login(way: str | None, from_file: Path | None, environment: str | None, as_json: bool) -> None:
    """Log in to OpenBao with a job's ID token, as a machine, or with a token that you enter.

    The ID token is read from FACTORY_TOKEN_ID. The login is stored in the private state folder until it expires.
    """
    store = _store()
    if from_file:
        secret_setup.take_machine(store, from_file)
    address = store.address
    with closing(OpenBao(address, ca=store.environment.get(lease.CERTIFICATES, ""))) as server:
        granted = _by_token(server) if way == "token" else store.login(server, deploys=environment or "", way=way)
    until = clock.iso(store.save(address, granted))
    value = {"address": address, "policies": list(granted.policies), "until": until}
    shown = ", ".join(name for name in granted.policies if name != "default")
    output.one(value, json_wanted=as_json, text=f"logged in to {address} as {shown} until {until}")


@command.command()
@click.argument("name")
@_ENVIRONMENT
@click.option("--show", is_flag=True, help="Print the value; works only on a terminal.")
@click.option("--to-file", type=click.Path(path_type=Path), help="Write the value to a file that only you can read.")
@output.as_json
def get(name: str, environment: str | None, show: bool, to_file: Path | None, as_json: bool) -> None:
    """Show the version of a secret; print its value or write it to a private file only on request."""
    store = _store()
    place = store.named(name, environment)
    if show and (as_json or not sys.stdout.isatty()):
        raise Refused("--show prints only on a terminal", hint="Write the value to a file with --to-file.")
    if to_file and store.clone in (*to_file.resolve().parents, to_file.resolve()):
        raise Refused(f"{to_file} is in the repository", hint="Name a file outside: it could be committed by mistake.")
    with store.opened() as provider:
        found = provider.get(place)
    if to_file:
        files.write_atomic(to_file, found.value.reveal().encode(), mode=0o600)
    if show:
        click.echo(found.value.reveal())
        return
    value = {"name": name, "path": place.path, "version": found.version, "created": found.created}
    where = f"written to {to_file}" if to_file else "value not shown; use --show or --to-file"
    value |= {"file": str(to_file) if to_file else None}
    output.one(value, json_wanted=as_json, text=f"{name}: version {found.version} {found.created} ({where})")


@command.command()
@click.argument("name")
@_ENVIRONMENT
@output.as_json
def put(name: str, environment: str | None, as_json: bool) -> None:
    """Store a secret's value, from a hidden prompt or from standard input."""
    store = _store()
    place = store.named(name, environment)
    with store.opened() as provider:
        try:
            before = provider.get(place).version
        except NotFound:
            before = 0
        version = provider.put(place, typed(f"Value of {name}", twice=True), version=before)
    value = {"name": name, "path": place.path, "version": version}
    output.one(value, json_wanted=as_json, text=f"{name}: version {version} is stored")


@command.command()
@click.argument("name")
@_ENVIRONMENT
@click.option("--generate", is_flag=True, help="Generate a value of 43 characters that GitLab can mask.")
@output.as_json
def rotate(name: str, environment: str | None, generate: bool, as_json: bool) -> None:
    """Store a new value of a secret, and show which CI variable still has the old one."""
    store = _store()
    place = store.named(name, environment)
    with store.opened() as provider:
        before = provider.get(place)
        generated = secrets.token_urlsafe(_GENERATED_BYTES) if generate else ""
        value = Secret(generated) if generated else typed(f"New value of {name}", twice=True)
        if value == before.value:
            raise InvalidInput(
                f"the new value of {name} equals the old one", hint="Enter another value, or use --generate."
            )
        version = provider.put(place, value, version=before.version)
    held = secret_sync.holders(store, place)
    text = f"{name}: version {version} is stored; revoke version {before.version} at the service that accepts it"
    if place.variable:
        known = f"has version {held['version']}" if held else "may have an older version"
        text += f"\nthe CI variable {place.variable} {known}; update it with: factory secrets sync {name}"
    shown = {"name": name, "path": place.path, "version": version, "before": before.version, "held_by": held or None}
    output.one(shown, json_wanted=as_json, text=text)


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@output.as_json
def sync(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Copy secrets to protected, masked CI variables, for runners that can't reach OpenBao.

    Values are never read back from GitLab; locally stored fingerprints show what changed. Exits with 5 if GitLab can't
    mask a value.
    """
    store = _store()
    for name in names:
        if name not in store.policies.secrets.secrets:
            store.named(name, None)
    targets: list[tuple[SecretLocation, str]] = [
        (place, scope) for place, scope, _ in store.places() if place.variable and (not names or place.name in names)
    ]
    with store.opened() as provider:
        done = secret_sync.sync(store, provider, current().connection(), targets, dry=dry_run)
    columns = ("name", "environment", "variable", "version", "state", "hidden", "reason")
    output.rows(done, columns, json_wanted=as_json, empty="policies/secrets.yml names no CI variable")
    refused = [item.name for item in done if item.state == "refused"]
    if refused:
        raise Refused(f"not copied: {', '.join(refused)}", hint="Fix the reasons above; the other secrets were copied.")


@command.command()
@click.option(
    "--environment",
    metavar="NAME",
    default="",
    help="The environment that the machine deploys to (default: it only plans).",
)
@click.option("--to-file", type=click.Path(path_type=Path), required=True, help="The private file to write.")
@output.as_json
def machine(environment: str, to_file: Path, as_json: bool) -> None:
    """Create a login for a machine without GitLab.

    Use it on that machine, once, with `factory secrets login --from-file`.
    """
    store = _store()
    if environment and environment not in store.policies.environments.environments:
        raise NotFound(f"there is no environment {environment!r}", hint="See policies/environments.yml for the names.")
    with store.connection() as server:
        value = secret_setup.machine(server, environment, to_file)
    text = f"{value['role']}: {to_file} can be used once, within {value['seconds']} s"
    output.one(value, json_wanted=as_json, text=text)


@command.command()
@output.as_json
def doctor(as_json: bool) -> None:
    """Check connection, login, lease lengths, bindings, file modes, and the age of each secret.

    Exits with 6 if something must be fixed.
    """
    found = secret_doctor.findings(_store())
    rows = [[item.thing, item.state, item.found, item.fix] for item in found]
    text = table(["", "", "found", "fix"], rows)
    output.one([asdict(item) for item in found], json_wanted=as_json, text=text)
    wrong = [item.thing for item in found if item.required and item.state != "ok"]
    if wrong:
        raise GateFailed(f"to fix: {', '.join(wrong)}", hint="Apply the fixes in the last column, then run it again.")


def _by_token(server: OpenBao) -> Login:
    """Return a login with a token that a person enters; raises ``Unauthorized``."""
    token = typed("Token")
    with closing(server.again(token)) as client:
        found = client.lookup()
    if not found["ttl"]:
        raise Refused("the token never expires, so it is not stored", hint="Use a token that expires within hours.")
    return Login(token, int(found["ttl"]), bool(found.get("renewable")), tuple(found["policies"]))


def _store() -> Store:
    """Return the secret store of the running command's instance."""
    workspace = current()
    return Store(
        workspace.settings.clone,
        workspace.state,
        workspace.key_file,
        workspace.tools.search_path,
        workspace.environment,
        typed,
    )


def _issuer(store: Store) -> setup.Issuer:
    """Return the project with the ID tokens that OpenBao trusts; raises errors of GitLab."""
    workspace = current()
    number = project_id(workspace.connection())
    return setup.Issuer(workspace.url, store.policies.secrets.audience, number, workspace.settings["project"], MAIN)
