"""``factory secrets``: keep secrets, log in to what keeps them, and copy them to CI variables."""

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
_ENVIRONMENT = click.option("--environment", metavar="NAME", help="Whose value, where a secret has one for each.")


@click.group()
def command() -> None:
    """Keep secrets encrypted or in OpenBao, and copy them to CI variables.

    A value is typed unseen or read from standard input; it is never an argument, and no --json holds one.
    """


@command.command()
@click.option("--provider", type=click.Choice(["openbao", "file"]), help="What to set up (default: policy's).")
@click.option("--passphrase", is_flag=True, help="Open the encrypted file by a passphrase instead of a key file.")
@output.as_json
def init(provider: str | None, passphrase: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Set up the encrypted file, or OpenBao: the local server or the one of policies/secrets.yml.

    On OpenBao: a mount, policies and roles, bound to this project's protected branch and each environment.
    """
    store = _store()
    wanted = provider or store.policies.secrets.provider
    if wanted == "environment":
        raise InvalidInput("variables need no setup; name another with --provider, and in policies/secrets.yml")
    if passphrase and wanted != "file":
        raise InvalidInput("--passphrase is for --provider file")
    done = (
        secret_setup.encrypted_file(store, passphrase=passphrase)
        if wanted == "file"
        else secret_setup.openbao(store, lambda: _issuer(store))
    )
    text = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in done.items())
    if wanted != store.policies.secrets.provider:
        text += f"\nnow write `provider: {wanted}` in policies/secrets.yml"
    output.one(done, json_wanted=as_json, text=text)


@command.command()
@click.option("--with", "way", type=click.Choice(["id-token", "approle", "token"]), help="How (default: as is there).")
@click.option("--from-file", type=click.Path(path_type=Path), help="A login made by `factory secrets machine`.")
@click.option("--environment", metavar="NAME", help="The environment that this job deploys to.")
@output.as_json
def login(way: str | None, from_file: Path | None, environment: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Log in to OpenBao by a job's id token, as a machine, or with a token that you type; keep the short login.

    The id token is the variable FACTORY_TOKEN_ID. The login lies in the private state folder until it ends.
    """
    store = _store()
    if from_file:
        secret_setup.take_machine(store, from_file)
    address = store.address
    with closing(OpenBao(address, ca=store.environment.get(lease.CERTIFICATES, ""))) as made:
        given = _by_token(made) if way == "token" else store.login(made, deploys=environment or "", way=way)
    until = clock.iso(store.save(address, given))
    value = {"address": address, "policies": list(given.policies), "until": until}
    shown = ", ".join(name for name in given.policies if name != "default")
    output.one(value, json_wanted=as_json, text=f"logged in to {address} as {shown} until {until}")


@command.command()
@click.argument("name")
@_ENVIRONMENT
@click.option("--show", is_flag=True, help="Print the value, on a terminal alone.")
@click.option("--to-file", type=click.Path(path_type=Path), help="Write the value to a file that only you can read.")
@output.as_json
def get(name: str, environment: str | None, show: bool, to_file: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Tell which version of a secret is there; the value goes to a terminal or a private file, if you ask."""
    store = _store()
    place = store.named(name, environment)
    if show and (as_json or not sys.stdout.isatty()):
        raise Refused("--show prints on a terminal alone", hint="Write it to a file with --to-file.")
    if to_file and store.clone in (*to_file.resolve().parents, to_file.resolve()):
        raise Refused(f"{to_file} lies in the repository", hint="Name a file outside: it would be committed one day.")
    with store.opened() as provider:
        found = provider.get(place)
    if to_file:
        files.write_atomic(to_file, found.value.reveal().encode(), mode=0o600)
    if show:
        click.echo(found.value.reveal())
        return
    value = {"name": name, "path": place.path, "version": found.version, "created": found.created}
    where = f"written to {to_file}" if to_file else "not shown: --show or --to-file"
    value |= {"file": str(to_file) if to_file else None}
    output.one(value, json_wanted=as_json, text=f"{name}: version {found.version} {found.created} ({where})")


@command.command()
@click.argument("name")
@_ENVIRONMENT
@output.as_json
def put(name: str, environment: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Store a secret's value: typed unseen, or from standard input."""
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
@click.option("--generate", is_flag=True, help="Make the value: 43 letters that GitLab can mask.")
@output.as_json
def rotate(name: str, environment: str | None, generate: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Store a new value of a secret, and tell which CI variable holds the old one."""
    store = _store()
    place = store.named(name, environment)
    with store.opened() as provider:
        before = provider.get(place)
        made = secrets.token_urlsafe(_GENERATED_BYTES) if generate else ""
        value = Secret(made) if made else typed(f"New value of {name}", twice=True)
        if value == before.value:
            raise InvalidInput(f"the new value of {name} is the old one", hint="Make a new one, or use --generate.")
        version = provider.put(place, value, version=before.version)
    held = secret_sync.holders(store, place)
    text = f"{name}: version {version} is stored; end version {before.version} where it is accepted"
    if place.variable:
        known = f"holds version {held['version']}" if held else "may hold an older one"
        text += f"\nthe CI variable {place.variable} {known}: factory secrets sync {name}"
    shown = {"name": name, "path": place.path, "version": version, "before": before.version, "held_by": held or None}
    output.one(shown, json_wanted=as_json, text=text)


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
@output.as_json
def sync(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Copy secrets to protected, masked CI variables, for a GitLab whose runners don't reach OpenBao.

    No value is read back: a fingerprint kept here tells what changed. Ends with 5 where one can't be masked.
    """
    store = _store()
    for name in names:
        if name not in store.policies.secrets.secrets:
            store.named(name, None)
    wanted: list[tuple[SecretLocation, str]] = [
        (place, scope) for place, scope, _ in store.places() if place.variable and (not names or place.name in names)
    ]
    with store.opened() as provider:
        done = secret_sync.sync(store, provider, current().connection(), wanted, dry=dry_run)
    columns = ("name", "environment", "variable", "version", "state", "hidden", "reason")
    output.rows(done, columns, json_wanted=as_json, empty="policies/secrets.yml names no CI variable")
    refused = [item.name for item in done if item.state == "refused"]
    if refused:
        raise Refused(
            f"not copied: {', '.join(refused)}", hint="Mend what the reasons above say; the others are copied."
        )


@command.command()
@click.option("--environment", metavar="NAME", default="", help="What it deploys to (default: it only plans).")
@click.option("--to-file", type=click.Path(path_type=Path), required=True, help="Where to write it, for you alone.")
@output.as_json
def machine(environment: str, to_file: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Make a login for a machine without GitLab; `factory secrets login --from-file` takes it there, once."""
    store = _store()
    if environment and environment not in store.policies.environments.environments:
        raise NotFound(f"there is no environment {environment!r}", hint="They are in policies/environments.yml.")
    with store.connection() as made:
        value = secret_setup.machine(made, environment, to_file)
    text = f"{value['role']}: {to_file} can be taken once, within {value['seconds']} s"
    output.one(value, json_wanted=as_json, text=text)


@command.command()
@output.as_json
def doctor(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Look at reach, login, lease lengths, bindings, file modes, and the age of each secret.

    Ends with 6 where something must be mended.
    """
    found = secret_doctor.findings(_store())
    rows = [[item.thing, item.state, item.found, item.fix] for item in found]
    text = table(["", "", "found", "fix"], rows)
    output.one([asdict(item) for item in found], json_wanted=as_json, text=text)
    wrong = [item.thing for item in found if item.required and item.state != "ok"]
    if wrong:
        raise GateFailed(f"to fix: {', '.join(wrong)}", hint="Do what the last column says, then look again.")


def _by_token(made: OpenBao) -> Login:
    """Return a login by a token that a person types; raises ``Unauthorized``."""
    token = typed("Token")
    with closing(made.again(token)) as theirs:
        told = theirs.lookup()
    if not told["ttl"]:
        raise Refused("the token has no end, so it is not kept", hint="Log in with one that ends within hours.")
    return Login(token, int(told["ttl"]), bool(told.get("renewable")), tuple(told["policies"]))


def _store() -> Store:
    """Return the secrets of the running command's instance."""
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
    """Return the project whose id tokens OpenBao trusts; raises what keeps GitLab from being asked."""
    workspace = current()
    number = project_id(workspace.connection())
    return setup.Issuer(workspace.url, store.policies.secrets.audience, number, workspace.settings["project"], MAIN)
