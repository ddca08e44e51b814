"""What a host says of its releases, signed with the host's key, and what a plan needs of each host. Pure.

A host does not say when it wrote: it says how much of the log it had read. So an old saying never serves a new plan.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import sign, statement, transparency_log
from factory.evidence.transparency_log import Entry
from factory.system import canonical, data

FILE = "ready.json"
# Bytes: some 200 of them say what one release is.
LARGEST = 2**20
# The payload type of the DSSE envelope: a host's signature can't be taken for one of a statement.
TYPE = "application/vnd.factory.readiness+json"
_BRANCHES = "factory/hosts"


@dataclass(frozen=True)
class ReadyRelease:
    """A release that must run on a host: its archive's digest, and whether it answers.

    Why one does not is told on the host alone: the reason has what the app printed and answered, which may be a secret.
    """

    release: str
    archive: str
    ready: bool


@dataclass(frozen=True)
class Readiness:
    """What a host runs in an environment, and the log that it had read: number of statements, and root hash in hex."""

    project: str
    environment: str
    host: str
    size: int
    root: str
    releases: tuple[ReadyRelease, ...]


@dataclass(frozen=True)
class Needed:
    """What the plan of an environment needs of its hosts: the releases, each with its archive's digest.

    ``index`` is the log index of the plan's statement, which the hosts must have read.
    """

    project: str
    environment: str
    index: int
    releases: Mapping[str, str]


def branch(environment: str, host: str) -> str:
    """Return the branch on which a host says what it runs."""
    return f"{_BRANCHES}/{environment}/{host}"


def seal(readiness: Readiness, signer: sign.Signer) -> bytes:
    """Return the content of ``ready.json``: a DSSE envelope with the host's signature."""
    return canonical.encode(signer.seal(canonical.encode(asdict(readiness)), TYPE))


def opened(content: bytes, public: str) -> Readiness:
    """Return what the host with this public key (hex) signed; raises ``EvidenceInvalid``."""
    if len(content) > LARGEST:
        raise EvidenceInvalid(f"{FILE} has more than {LARGEST >> 10} KiB")
    envelope = transparency_log.decode_envelope(content)
    payload = sign.open_envelope(envelope, {sign.keyid_of(public): public}, payload_type=TYPE)
    try:
        return data.read(Readiness, payload, source=FILE)
    except InvalidInput as error:
        raise EvidenceInvalid(str(error)) from error


def needed(entries: Sequence[Entry], *, project: str, environment: str, manifest: str) -> Needed | None:
    """Return what the recorded plan with this manifest needs; ``None`` if no statement has it.

    A plan that goes back names no archives. It needs the releases that an earlier plan of that commit named.
    """
    own = [entry for entry in entries if entry.predicate["project"] == project]
    plans = [entry for entry in own if entry.kind == "plan" and entry.predicate["stack"] == environment]
    found = next((entry for entry in plans if entry.predicate["manifest"] == manifest), None)
    if found is None:
        return None
    releases = statement.releases_of(found.statement)
    for entry in own:
        if entry.kind == "rollback" and entry.predicate["pipeline"] == found.predicate["pipeline"]:
            earlier = [plan for plan in plans if plan.predicate["commit"] == entry.predicate["commit"]]
            named = (statement.releases_of(plan.statement).items() for plan in reversed(earlier))
            releases = {name: digest for items in named for name, digest in items}
    return Needed(project, environment, found.index, releases)


def unmet(
    needs: Needed, keys: Mapping[str, str], said: Mapping[str, bytes], root_at: Callable[[int], str]
) -> tuple[str, ...]:
    """Return why the hosts are not ready for a plan; empty if all are.

    ``keys`` has the public key of each host by its name, ``said`` what each has on its branch. ``root_at`` returns the
    root hash of the log at a size.
    """
    return tuple(why for host, key in sorted(keys.items()) if (why := _unmet(needs, host, key, said, root_at)))


def _unmet(needs: Needed, host: str, key: str, said: Mapping[str, bytes], root_at: Callable[[int], str]) -> str:
    if host not in said:
        return f"the host {host} has said nothing yet"
    try:
        found = opened(said[host], key)
    except EvidenceInvalid as error:
        return f"what the host {host} says does not count: {error}"
    return _stale(needs, host, found, root_at) or _lacking(needs, host, found)


def _stale(needs: Needed, host: str, found: Readiness, root_at: Callable[[int], str]) -> str:
    """Return why what a host says is not about this plan."""
    if (found.project, found.environment, found.host) != (needs.project, needs.environment, host):
        return f"the host {host} says what {found.host} runs for {found.environment} of {found.project}"
    if found.size <= needs.index:
        return f"the host {host} has read {found.size} statements, and the plan is statement {needs.index}"
    if not found.root or root_at(found.size) != found.root:
        return f"the host {host} has read another log"
    return ""


def _lacking(needs: Needed, host: str, found: Readiness) -> str:
    """Return which of the plan's releases a host does not have ready."""
    running = {item.release: item for item in found.releases}
    reasons = (_not_ready(running.get(name), name, archive) for name, archive in sorted(needs.releases.items()))
    return next((f"on the host {host}, {why}" for why in reasons if why), "")


def _not_ready(item: ReadyRelease | None, name: str, archive: str) -> str:
    if item is None:
        return f"{name} does not run"
    if item.archive != archive:
        return f"{name} is another archive"
    return "" if item.ready else f"{name} is not ready; there, `factory host status` says why"
