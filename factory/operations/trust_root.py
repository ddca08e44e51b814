"""The trust root of a project: who may sign its evidence, as ``policies/trust.yml`` on main says.

Without the file, only the instance's own key may. The agents' accounts are those of ``policies/scope.yml``.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from factory.errors import Conflict, InvalidInput, NotFound
from factory.evidence import sign
from factory.evidence.kinds import DESCRIPTIONS
from factory.evidence.trust import CHECKPOINTS, Pin, Trust, TrustedHost, TrustedKey
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.policies import read
from factory.policies.model import EnrolledHost, EnrolledKey, PinnedLog, Policies, TrustRoot
from factory.policies.trust import PATH
from factory.system import canonical
from factory.worktrees.repository import Author, Mirror

_HEAD = """\
# Who may sign this project's evidence. `factory evidence keys` proposes the changes of this file; a person merges them.
# A key never leaves the file: what it signed stays valid up to the statement `until`.
"""


def trusted(own: Trust, root: TrustRoot | None, agents: Iterable[str] = ()) -> Trust:
    """Return the instance's trust root with what ``policies/trust.yml`` says; ``own`` itself without the file.

    ``agents`` are the agents' accounts of ``policies/scope.yml``.
    """
    if root is None:
        return own
    accounts = tuple(dict.fromkeys([*own.agent_accounts, *agents]))
    hosts = {**own.hosts, **_hosts(root)}
    found = replace(own, origin=root.origin, keys=keys_of(root), agent_accounts=accounts, separation=root.separation)
    return replace(found, pinned=_pinned(root), hosts=hosts)


def at(mirror: Mirror, commit: str) -> TrustRoot | None:
    """Return ``policies/trust.yml`` as of a commit; ``None`` without it. Raises ``InvalidInput``."""
    try:
        return read.trust_root(mirror.read(commit, PATH))
    except NotFound:
        return None


def trusted_at(mirror: Mirror, commit: str, own: Trust) -> Trust:
    """Return the trust root of a project as of a commit of main; ``own`` is the instance's. Raises ``InvalidInput``."""
    root = at(mirror, commit)
    return trusted(own, root, read.read(mirror.tree(commit, "policies/")).scope.agents if root else ())


def of_policies(policies: Policies) -> Trust:
    """Return the trust root that the policies alone give; raises ``NotFound`` if they name no key."""
    if policies.trust is None:
        raise NotFound(
            f"there is no {PATH} here, so the evidence needs a trust root",
            hint="Pass one with --trust; `factory evidence trust` prints it on the machine that records.",
        )
    found = policies.trust
    rooted = Trust(keys_of(found), found.origin, policies.scope.agents, separation=found.separation)
    return replace(rooted, pinned=_pinned(found), hosts=_hosts(found))


def founded(own: Trust, name: str) -> TrustRoot:
    """Return the first trust root of a project: the key that has recorded until now, under ``name``."""
    (key,) = own.keys.values()
    first = EnrolledKey(key=key.public, since=0)
    return TrustRoot(origin=own.origin, separation=own.separation, keys={name: first})


def enrolled(root: TrustRoot, name: str, public: str, *, since: int, replaces: str | None = None) -> TrustRoot:
    """Return the trust root with one more key, which may sign from statement ``since`` on.

    ``replaces`` names the key that it takes over from. Raises ``Conflict`` if the name or the key is there.
    """
    for known, key in root.keys.items():
        if public == key.key:
            raise Conflict(f"{PATH} already has this key, as {known}", hint="See `factory evidence keys list`.")
        if name == known:
            raise Conflict(f"{PATH} already has a key {name}", hint="Set another name with --name.")
    if replaces is not None:
        _known(root, replaces)
    return _with(root, name, EnrolledKey(key=public, since=since, replaces=replaces))


def revoked(root: TrustRoot, name: str, *, until: int) -> TrustRoot:
    """Return the trust root in which a key signs only statements before ``until``.

    Raises ``NotFound`` for an unknown name and ``Conflict`` if the key already ended there or before.
    """
    key = _known(root, name)
    if key.until is not None and key.until <= until:
        raise Conflict(f"the key {name} already ended before statement {key.until}")
    return _with(root, name, key.model_copy(update={"until": until}))


def with_host(root: TrustRoot, name: str, public: str, environments: Sequence[str]) -> TrustRoot:
    """Return the trust root with a host; raises ``Conflict`` if the name or the key is there."""
    if name in root.hosts:
        raise Conflict(f"{PATH} already has a host {name}", hint="Set another name, or remove that host first.")
    if public in {*(key.key for key in root.keys.values()), *(host.key for host in root.hosts.values())}:
        raise Conflict(f"{PATH} already has this key", hint="Each host has a key of its own: `factory host key`.")
    host = EnrolledHost(key=public, environments=tuple(environments))
    return root.model_copy(update={"hosts": {**root.hosts, name: host}})


def without_host(root: TrustRoot, name: str) -> TrustRoot:
    """Return the trust root without a host, for which no deployment waits any more; raises ``NotFound``."""
    if name not in root.hosts:
        raise NotFound(f"{PATH} has no host {name}", hint="See `factory evidence keys list`.")
    return root.model_copy(update={"hosts": {known: host for known, host in root.hosts.items() if known != name}})


def text(root: TrustRoot) -> str:
    """Return the content of ``policies/trust.yml``, one line for each key and each host."""
    lines = [f"origin: {json.dumps(root.origin)}", f"separation: {root.separation}", "keys:"]
    for name, key in root.keys.items():
        fields = {field: item for field, item in key.model_dump().items() if item is not None}
        shown = ", ".join(f"{field}: {json.dumps(item)}" for field, item in fields.items())
        lines.append(f"  {name}: {{{shown}}}")
    lines += ["hosts:"] if root.hosts else []
    for name, host in root.hosts.items():
        lines.append(f'  {name}: {{key: "{host.key}", environments: {json.dumps(list(host.environments))}}}')
    if root.pinned is not None:
        lines.append(f'pinned: {{size: {root.pinned.size}, root: "{root.pinned.root}"}}')
    return _HEAD + "\n".join(lines) + "\n"


def propose(
    mirror: Mirror, person: Connection, token: str, root: TrustRoot, *, branch: str, title: str, why: str
) -> MergeRequest:
    """Open the person's merge request that changes ``policies/trust.yml`` on main, unless it is open already.

    The branch's name has a digest of the change and of main: another change is another merge request.
    """
    branch = f"{branch}-{canonical.digest_of([text(root), mirror.head(MAIN)])[7:15]}"
    author = Author(person.account, f"{person.account}@localhost")
    content = {PATH: text(root).encode()}
    commit = mirror.commit(content, parent=mirror.head(MAIN), message=f"{title}\n\n{why}\n", author=author)
    mirror.push_content(commit, branch, token)
    return merge_requests.open_once(person, source=branch, target=MAIN, title=title, description=why, labels=[])


def pinned(root: TrustRoot, *, size: int, log_root: str) -> TrustRoot:
    """Return the trust root that a log must continue from this state on; an earlier state is not pinned again."""
    known = root.pinned.size if root.pinned else 0
    return root.model_copy(update={"pinned": PinnedLog(size=size, root=log_root)}) if size > known else root


def keys_of(root: TrustRoot) -> dict[str, TrustedKey]:
    """Return the trusted keys by id; raises ``InvalidInput`` for an unknown kind of statement."""
    ids = {name: sign.keyid_of(key.key) for name, key in root.keys.items()}
    return {ids[name]: _key(name, key, ids) for name, key in root.keys.items()}


def _hosts(root: TrustRoot) -> dict[str, TrustedHost]:
    return {name: TrustedHost(host.key, host.environments) for name, host in root.hosts.items()}


def _pinned(root: TrustRoot) -> Pin | None:
    return Pin(root.pinned.size, root.pinned.root) if root.pinned else None


def _key(name: str, key: EnrolledKey, ids: dict[str, str]) -> TrustedKey:
    for kind in key.kinds or ():
        if kind not in DESCRIPTIONS and kind != CHECKPOINTS:
            raise InvalidInput(f"{PATH}: keys.{name}.kinds: there is no kind of statement {kind!r}")
    replaces = ids[key.replaces] if key.replaces else ""
    return TrustedKey(key.key, name, key.kinds or (), key.since, key.until, replaces)


def _known(root: TrustRoot, name: str) -> EnrolledKey:
    if name not in root.keys:
        raise NotFound(f"{PATH} has no key {name}", hint="See `factory evidence keys list`.")
    return root.keys[name]


def _with(root: TrustRoot, name: str, key: EnrolledKey) -> TrustRoot:
    return root.model_copy(update={"keys": {**root.keys, name: key}})
