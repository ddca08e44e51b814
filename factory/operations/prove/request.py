"""What a person asks to prove, and what was found before anything was made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from factory.cloudflare import zones
from factory.cloudflare.client import Reader
from factory.errors import Conflict, InvalidInput, MachineError, NotFound, Refused, Unauthorized
from factory.gitlab import accounts
from factory.gitlab.accounts import TokenScope
from factory.gitlab.connect import connect
from factory.model.secret import Secret
from factory.operations.prove import namespaces, zone_state
from factory.operations.prove import record as records
from factory.operations.prove.command_line import CommandLine
from factory.operations.prove.record import Record
from factory.operations.prove.report import Server
from factory.policies.folder import read_folder
from factory.system.toolchain import toolchain

ENVIRONMENTS = ("staging", "production")
_MAINTAINER = 40
_LOCAL = "-local"


@dataclass(frozen=True)
class Request:
    """What to prove: on which GitLab, below which group, in which zone and with which agents; CI variables to set.

    ``group`` and ``zone`` may be empty. With ``sockets``, this machine runs the releases: it is the folder in which the
    zone's connector finds, in a folder for each environment, their sockets.
    """

    url: str
    group: str
    zone: str
    agents: tuple[str, ...]
    variables: Mapping[str, str]
    sockets: Path | None = None


@dataclass(frozen=True)
class Tokens:
    """The tokens of the operator, of the factory's own account, and of Cloudflare (empty without a zone).

    ``judge`` is the one with which the job ``gate`` reads merge requests.
    """

    operator: Secret
    bot: Secret
    judge: Secret
    cloudflare: Secret


@dataclass(frozen=True)
class Found:
    """What a look at the services found: the server, both accounts, and the record of what the run will make.

    ``plan`` is the zone's Cloudflare plan.
    """

    server: Server
    operator: TokenScope
    bot: TokenScope
    record: Record
    plan: str = ""

    @property
    def summary(self) -> str:
        """Return what was found in one line, without names of persons."""
        ends = "; ".join(
            f"the token of the {name} ends on {scope.expires}"
            for name, scope in (("operator", self.operator), ("factory's account", self.bot))
            if scope.expires
        )
        zone = f"zone {self.record.zone} on the plan {self.plan}" if self.record.zone else ""
        return "; ".join(part for part in (f"GitLab {self.server.version}", zone, ends) if part)


def look(request: Request, tokens: Tokens, command: CommandLine, *, env: Mapping[str, str], source: Path) -> Found:
    """Look at everything that a run needs, and change nothing.

    ``command`` runs in ``source``. Raises ``Refused`` for a token or role that is not enough, ``Conflict`` if both
    tokens are of one account, ``NotFound`` without the group, zone or agent, ``Unauthorized`` without an agent's login.
    """
    operator = accounts.look(connect(request.url, "", account="operator", token=tokens.operator.reveal()))
    bot = accounts.look(connect(request.url, "", account="factory", token=tokens.bot.reveal()))
    accounts.distinct(operator, bot)
    _require_agents(request.agents, command)
    server = Server(urlsplit(request.url).netloc, operator.version, loopback=operator.version.endswith(_LOCAL))
    made = records.plan(request.url, parent=request.group or operator.username, group=bool(request.group))
    _require_free(request, tokens, operator, made)
    made = replace(made, variables=request.variables)
    if not request.zone:
        return Found(server, operator, bot, made)
    toolchain(env, source).terraform(read_folder(source).terraform.program)
    reader = Reader(tokens.cloudflare.reveal(), url=made.cloudflare)
    zone = zones.find(reader, request.zone)
    names = {name: f"{records.PREFIX}{made.suffix}-{name}.{zone.name}" for name in ENVIRONMENTS}
    before = zone_state.lines(reader, zone)
    made = replace(made, zone=zone.name, account=zone.account, hostnames=names, before=before)
    return Found(server, operator, bot, made, zone.plan)


def _require_free(request: Request, tokens: Tokens, operator: TokenScope, made: Record) -> None:
    connection = connect(request.url, "", account=operator.username, token=tokens.operator.reveal())
    if request.group:
        if namespaces.find(connection, namespaces.GROUPS, request.group) is None:
            raise NotFound(f"you have access to no group {request.group}", hint="Name a group that you own.")
        if namespaces.level(connection, request.group, operator.number) < _MAINTAINER:
            raise Refused(f"you are not a maintainer of the group {request.group}", hint="Name a group that you own.")
    taken = [(namespaces.GROUPS, made.group)] if made.group else []
    for kind, path in [*taken, *((namespaces.PROJECTS, path) for path in made.projects)]:
        if namespaces.find(connection, kind, path) is not None:
            raise Conflict(f"{path} exists already, and the run would delete it", hint="Run the command again.")


def _require_agents(names: tuple[str, ...], command: CommandLine) -> None:
    """Raise an error unless each agent is in policy, is installed and has a login."""
    rows = command.json("agent", "list") if names else []
    known = {str(row["name"]): row for row in rows} if isinstance(rows, list) else {}
    for name in names:
        row = known.get(name)
        if row is None:
            raise NotFound(f"policies/agents.yml names no agent {name}", hint="See `factory agent list`.")
        if row["installed"] != "yes":
            raise MachineError(f"the agent {name} is not installed", hint="Run `factory setup --agents`.")
        if "missing" in str(row["credential"]):
            raise Unauthorized(f"the agent {name} has no login: {row['credential']}", hint="See docs/agents.md.")


def variables(given: tuple[str, ...]) -> dict[str, str]:
    """Return CI variables given as ``NAME=VALUE``; raises ``InvalidInput``."""
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise InvalidInput(f"{text!r} is not NAME=VALUE")
        found[name] = value
    return found
