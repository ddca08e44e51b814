"""What the commands of ``factory host`` share."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from factory.apps.running import RunMachine
from factory.cli.current import current
from factory.config import state_home
from factory.errors import Conflict, FactoryError, InvalidInput, SandboxUnavailable
from factory.host.host import LOCK
from factory.instance import hosts
from factory.sandbox import launch
from factory.sandbox.launch import Level
from factory.system import files
from factory.system.toolchain import readable, tool_env, toolchain

ENVIRONMENT = click.argument("environment")
STATE = click.option(
    "--state", type=click.Path(path_type=Path, resolve_path=True), help="Where the releases are stored."
)
URL = click.option("--url", required=True, help="GitLab's address.")
PROJECT = click.option("--project", required=True, metavar="GROUP/NAME", help="The control repository.")
TRUST = click.option(
    "--trust",
    "root",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="The trust root, as `factory evidence trust` prints it.",
)
NAME = click.option(
    "--name", metavar="NAME", help="Say on GitLab, under this name, what runs here; see `factory host key`."
)
SOCKETS = click.option(
    "--sockets",
    type=click.Path(path_type=Path, resolve_path=True),
    help="The folder of the releases' sockets (default: /run/factory/ENVIRONMENT).",
)
TOKEN = "FACTORY_HOST_TOKEN"  # noqa: S105 - a variable's name
CREDENTIAL = "gitlab-token"
# systemd.exec(5): the folder of the credentials that a unit names with LoadCredential.
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def check(environment: str, url: str = "https://", host: str | None = None) -> None:
    """Raise ``InvalidInput`` for a name that no environment or host has, and for an address that no GitLab can have."""
    for name in (environment, *([host] if host else [])):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of an environment or a host")
    if not url.startswith(("https://", "http://")):
        raise InvalidInput(f"{url} is not an address of GitLab", hint="For example: --url https://gitlab.com")


def folder(given: Path | None, environment: str, variables: Mapping[str, str]) -> Path:
    """Return the folder of an environment's host: the given one, or one below this user's state."""
    return given or state_home(variables) / "host" / environment


def known(given: Path | None, environment: str, variables: Mapping[str, str]) -> Path:
    """Return the folder of the host to look at: as ``folder``, or else that of the embedded instance, if it has one."""
    found = folder(given, environment, variables)
    if given is None and not found.exists():
        with suppress(FactoryError):  # as outside a control repository
            embedded = hosts.folder(current(), environment)
            found = embedded if embedded.exists() else found
    return found


def alive(folder: Path) -> bool:
    """Return whether a host works in the folder."""
    try:
        with files.locked(folder / LOCK, wait=False):
            return False
    except Conflict:
        return True


def sockets_folder(given: Path | None, environment: str) -> Path:
    """Return the folder of the sockets: the given one, or the one that a plan names by default."""
    return given or Path("/run/factory") / environment


def token(variables: Mapping[str, str]) -> str:
    """Return the host's token for GitLab, from systemd's credential or the environment; empty if there is none."""
    folder = variables.get(_CREDENTIALS)
    file = Path(folder) / CREDENTIAL if folder else None
    return files.read_text(file).strip() if file is not None and file.exists() else variables.get(TOKEN, "")


def machine(variables: Mapping[str, str]) -> RunMachine:
    """Return what releases run with on this machine; raises ``SandboxUnavailable`` if they can't run confined."""
    tools = toolchain(variables, Path.cwd())
    path = tool_env(variables, tools)["PATH"]
    if launch.probe(path) is None:
        raise SandboxUnavailable("releases run confined, and bubblewrap does not work here", hint="Install bubblewrap.")
    return RunMachine(path, tuple(path for path in (tools.tools, *readable()) if path.exists()), Level.BWRAP)
