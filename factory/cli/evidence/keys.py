"""``factory evidence keys``: lists and proposes the keys that may sign the project's evidence."""

import platform
import re

import click

from factory.cli import output
from factory.cli.current import current
from factory.cli.prompt import typed
from factory.errors import EvidenceInvalid, InvalidInput, NotFound, Refused
from factory.evidence import sign, transparency_log, verify
from factory.evidence.checkpoint import VerifierKey
from factory.evidence.transparency_log import BRANCH
from factory.evidence.trust import Trust
from factory.instance import provision, recorder_key
from factory.instance.context import own_trust
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.gitlab import MAIN, MergeRequest
from factory.operations import trust_root
from factory.policies import read
from factory.policies.model import TrustRoot

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
# The number of no merge request: only the log itself is verified.
_NONE = 0
_KEY_NAME = click.option("--name", metavar="NAME", help="The key's name (default: this machine's name).")


@click.group(name="keys")
def command() -> None:
    """List, make, enrol, rotate and revoke the keys that sign evidence.

    The commands that change policies/trust.yml open a merge request, which a person merges.
    """


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the keys that may sign, and those of hosts.

    Shows which statements each has signed, and which key is this machine's.
    """
    project = _Project(current())
    trust, entries = project.trust(), transparency_log.read(project.tree())
    trust = trust.ending([(entry.index, keyid) for entry in entries for keyid in entry.signers])
    mine = recorder_key.current(project.workspace).keyid
    counts = {keyid: sum(keyid in entry.signers for entry in entries) for keyid in trust.keys}
    rows = [
        {
            "name": key.name or "recorder",
            "key": key.public,
            "verifier_key": VerifierKey(trust.origin, key.public).text,
            "signs": ", ".join(key.kinds) or "everything",
            "from": key.since,
            "until": key.until,
            "signed": counts[keyid],
            "here": "this machine's" if keyid == mine else "",
        }
        for keyid, key in trust.keys.items()
    ] + project.hosts()
    output.rows(rows, ("name", "signs", "from", "until", "signed", "here"), json_wanted=as_json, empty="no key")


@command.command()
@click.option("--passphrase", is_flag=True, help="Encrypt the key with a passphrase that you type, or your keyring's.")
@output.as_json
def new(passphrase: bool, as_json: bool) -> None:
    """Make a new key for this machine.

    `rotate` or `enrol` proposes it, and it is used once that is merged.
    """
    workspace = current()
    recorder_key.require(workspace)
    sealed = recorder_key.stored_passphrase(workspace) if passphrase else ""
    if passphrase and not sealed:
        sealed = typed("A passphrase for the key", twice=True).reveal()
    made = recorder_key.make_successor(workspace, sealed)
    text = f"a new key is ready: {made}\n  next: factory evidence keys rotate NAME"
    output.one({"key": made, "sealed": bool(sealed)}, json_wanted=as_json, text=text)


@command.command()
@_KEY_NAME
@click.option("--instead-of", metavar="NAME", help="End this key now, because it is lost or somebody else has it.")
@click.option("--at", type=click.IntRange(min=0), metavar="SIZE", help="With --instead-of: as in `revoke`.")
@output.as_json
def enrol(name: str | None, instead_of: str | None, at: int | None, as_json: bool) -> None:
    """Propose that this machine's key may sign."""
    project = _Project(current())
    own = recorder_key.current(project.workspace).public
    public = recorder_key.successor(project.workspace) or own
    called, size = _called(name), project.size()
    end = size if at is None else at
    root = project.root(called)
    if instead_of:
        root = trust_root.revoked(root, instead_of, until=end)
    if project.has_file or public != own:
        fresh = called if project.has_file else _numbered(root, called)
        root = trust_root.enrolled(root, fresh, public, since=end)
    why = f"The key `{public}` may sign evidence."
    why += f" Of the key {instead_of}, only what it signed before statement {end} stays valid." if instead_of else ""
    _tell(project.propose(root, f"Enrol the key {called}", why), called, as_json=as_json)


@command.command()
@click.argument("name")
@click.option("--as", "called", metavar="NAME", help="The new key's name (default: the old one's with a number).")
@output.as_json
def rotate(name: str, called: str | None, as_json: bool) -> None:
    """Propose a new key of this machine in place of NAME.

    The key NAME ends with the new key's first statement.
    """
    project = _Project(current())
    root = project.root(name)
    own = recorder_key.current(project.workspace).public
    if name in root.keys and root.keys[name].key != own:
        raise Refused(
            f"the key {name} is another machine's",
            hint="Run this there, or end that key with `factory evidence keys revoke`.",
        )
    public = recorder_key.successor(project.workspace) or recorder_key.make_successor(project.workspace, "")
    fresh = called or _numbered(root, name)
    root = trust_root.enrolled(root, fresh, public, since=project.size(), replaces=name)
    why = f"The key `{public}` takes over from the key {name}, which ends with the new key's first statement."
    _tell(project.propose(root, f"Rotate the key {name}", why), fresh, as_json=as_json)


@command.command()
@click.argument("name")
@click.option("--at", type=click.IntRange(min=0), metavar="SIZE", help="The first statement that is no longer valid.")
@output.as_json
def revoke(name: str, at: int | None, as_json: bool) -> None:
    """Propose that the key NAME may sign no more.

    Its statements before SIZE (default: all until now) stay valid.
    """
    project = _Project(current())
    end = project.size() if at is None else at
    root = trust_root.revoked(project.root(name), name, until=end)
    why = f"What the key {name} signed before statement {end} stays valid; what it signs from there on is void."
    _tell(project.propose(root, f"Revoke the key {name}", why), name, as_json=as_json)


@command.command(name="enrol-host")
@click.argument("name")
@click.argument("key")
@click.option("--environment", "environments", required=True, multiple=True, help="An environment that it runs.")
@output.as_json
def enrol_host(name: str, key: str, environments: tuple[str, ...], as_json: bool) -> None:
    """Propose that deployments wait for the host NAME, which signs with KEY (`factory host key` on that machine)."""
    called = _called(name)
    sign.keyid_of(key)
    project = _Project(current())
    known = project.environments()
    if unknown := [item for item in environments if item not in known]:
        raise InvalidInput(f"there is no environment {unknown[0]}", hint=f"There are: {', '.join(known)}.")
    root = trust_root.with_host(project.root(_called(None)), called, key, environments)
    why = f"Nothing is applied to {', '.join(environments)} before the host {called} (`{key}`) is ready."
    _tell(project.propose(root, f"Enrol the host {called}", why), called, as_json=as_json)


@command.command(name="remove-host")
@click.argument("name")
@output.as_json
def remove_host(name: str, as_json: bool) -> None:
    """Propose that no deployment waits for the host NAME any more."""
    project = _Project(current())
    root = trust_root.without_host(project.root(_called(None)), name)
    _tell(project.propose(root, f"Remove the host {name}", f"No deployment waits for {name}."), name, as_json=as_json)


class _Project:
    """The instance's project as of now: its log and its trust root, and the person who proposes a change."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._mirror = provision.mirror(workspace, workspace.url, workspace.settings["project"])
        self._token = workspace.token(OPERATOR)
        self._mirror.fetch(self._token)
        head = self._mirror.head(MAIN)
        if head is None:
            raise NotFound(
                f"{workspace.settings['project']} has no branch {MAIN}",
                hint="The project is empty: push a first commit to it with `git push`.",
            )
        self._main, self._root = head, trust_root.at(self._mirror, head)

    def trust(self) -> Trust:
        """Return the trust root of the project."""
        return trust_root.trusted(own_trust(self.workspace), self._root)

    def hosts(self) -> list[dict[str, object]]:
        """Return a row for each host for which deployments wait."""
        found = self._root.hosts if self._root else {}
        return [
            {
                "name": name,
                "key": host.key,
                "verifier_key": "",
                "signs": f"what runs for {', '.join(host.environments)}",
                "from": 0,
                "until": None,
                "signed": 0,
                "here": "",
            }
            for name, host in found.items()
        ]

    def environments(self) -> list[str]:
        """Return the names of the environments that policies/environments.yml on main has."""
        policies = read.read(self._mirror.tree(self._main, "policies/"))
        return sorted(policies.environments.environments)

    def size(self) -> int:
        """Return the number of statements in the log."""
        return len(transparency_log.read(self.tree()))

    def tree(self) -> dict[str, bytes]:
        """Return the files of the evidence branch."""
        head = self._mirror.head(BRANCH)
        return self._mirror.tree(head) if head else {}

    @property
    def has_file(self) -> bool:
        """Return whether main has ``policies/trust.yml``."""
        return self._root is not None

    def root(self, name: str) -> TrustRoot:
        """Return ``policies/trust.yml``; without it, the one with the key that has recorded until now, under ``name``.

        Raises ``NotFound`` if there is no such file and another machine's key has recorded.
        """
        if self._root is not None:
            return self._root
        own, tree = own_trust(self.workspace), self.tree()
        if any(keyid not in own.keys for entry in transparency_log.read(tree) for keyid in entry.signers):
            raise NotFound(
                "the project has no policies/trust.yml, and another machine's key has recorded its evidence",
                hint="Run `factory evidence keys enrol` on that machine first.",
            )
        return trust_root.founded(own, name)

    def propose(self, root: TrustRoot, title: str, why: str) -> MergeRequest:
        """Open a merge request with a new trust root that pins the log; raises ``EvidenceInvalid`` if it is broken."""
        tree, size = self.tree(), self.size()
        # A key that has ended may have signed the newest checkpoint; ending it is what this may be for.
        report = verify.verify(tree, trust=self.trust(), merge_request=_NONE)
        broken = [check.reason for check in report.findings if check.rule != "EV-LOG-SIG"]
        if broken:
            raise EvidenceInvalid(f"the log is broken, so it is not pinned: {broken[0]}")
        root = trust_root.pinned(root, size=size, log_root=transparency_log.root_at(tree, size))
        person = self.workspace.connection()
        branch = re.sub(r"[^a-z0-9]+", "-", title.lower())
        return trust_root.propose(self._mirror, person, self._token, root, branch=branch, title=title, why=why)


def _called(name: str | None) -> str:
    found = name or re.sub(r"[^a-z0-9]+", "-", platform.node().lower()).strip("-0123456789") or "recorder"
    if not _NAME.fullmatch(found):
        raise InvalidInput(
            f"{found!r} is not a valid name of a key: use lowercase letters, digits and hyphens", hint="Set --name."
        )
    return found


def _numbered(root: TrustRoot, name: str) -> str:
    stem = re.sub(r"-[0-9]+$", "", name)
    return next(found for number in range(2, len(root.keys) + 3) if (found := f"{stem}-{number}") not in root.keys)


def _tell(request: MergeRequest, name: str, *, as_json: bool) -> None:
    value = {"name": name, "merge_request": request.iid, "web_url": request.web_url}
    text = f"!{request.iid} {request.title}\n  next: review and merge it in GitLab: {request.web_url}"
    output.one(value, json_wanted=as_json, text=text)
