"""What the log says about one merge request, gathered for the rules of the chain, and the words they answer in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory.evidence.log import Entry
from factory.evidence.trust import Trust


@dataclass(frozen=True)
class Check:
    """One rule, held or not: its id, the log index it is about (``None``: the whole), and the reason."""

    rule: str
    statement: int | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Link:
    """One link of the chain: the checks of what is there, and what is absent as (rule, description)."""

    checks: tuple[Check, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Facts:
    """The statements that bear on one merge request, by kind, each in the order of the log."""

    trust: Trust
    of: Mapping[str, Sequence[Entry]] = field(repr=False)
    own: Sequence[Entry] = field(repr=False)
    merge: Entry | None
    head: str | None
    verdict: Entry | None

    @property
    def merge_commit(self) -> str | None:
        """The commit that the merge made, once there is one."""
        return None if self.merge is None else str(self.merge.predicate["merge_commit"])

    def before_merge(self, entry: Entry) -> bool:
        """Return whether the entry was recorded before the merge, or there is no merge yet."""
        return self.merge is None or entry.index < self.merge.index

    def some(self, kind: str, **values: Any) -> list[Entry]:
        """Return the statements of a kind whose predicate has these values."""
        found = self.of.get(kind, ())
        return [entry for entry in found if all(entry.predicate[name] == value for name, value in values.items())]


def gather(entries: Sequence[Entry], merge_request: int, trust: Trust) -> Facts | None:
    """Return the facts about a merge request, or ``None`` where no statement names it."""
    own = [entry for entry in entries if entry.predicate.get("merge_request") == merge_request]
    if not own:
        return None
    of: dict[str, list[Entry]] = {}
    for entry in entries:
        about_issue = entry.kind in {"claim", "attempt", "handover"} and work(entry) == work(own[0])
        # A plan on the default branch may belong to no merge request; its commit decides later.
        loose_plan = entry.kind == "plan" and entry.predicate["merge_request"] is None
        if about_issue or loose_plan or entry.predicate.get("merge_request") == merge_request:
            of.setdefault(entry.kind, []).append(entry)
    merge = last(of.get("merge", []))
    latest = merge or last(of.get("verdict", []))
    head = None if latest is None else str(latest.predicate["head"])
    verdicts = [entry for entry in of.get("verdict", []) if entry.predicate["head"] == head]
    if merge is not None:
        verdicts = [entry for entry in verdicts if entry.index < merge.index]
    return Facts(trust, of, own, merge, head, last(verdicts))


def latest_by(entries: Iterable[Entry], name: str) -> dict[str, Entry]:
    """Return the last entry for each value of a predicate field, sorted by that value."""
    return dict(sorted({str(entry.predicate[name]): entry for entry in entries}.items()))


def work(entry: Entry) -> str:
    """Return the project and issue that a statement is about."""
    return f"{entry.predicate['project']}#{entry.predicate['issue']}"


def last(entries: Sequence[Entry]) -> Entry | None:
    """Return the last entry, if any."""
    return entries[-1] if entries else None


def held(rule: str, entry: Entry, reason: str) -> Check:
    """Return a check that passed."""
    return Check(rule, entry.index, passed=True, reason=reason)


def broken(rule: str, entry: Entry | None, reason: str) -> Check:
    """Return a finding."""
    return Check(rule, None if entry is None else entry.index, passed=False, reason=reason)


def differs(rule: str, entry: Entry, what: str, found: Any, wanted: Any) -> Check:
    """Return a finding that names both digests."""
    return broken(rule, entry, f"the {what} it names is {found}, but it must be {wanted}")


def absent(rule: str, what: str, instead: Sequence[Entry] = (), *fields: str) -> Link:
    """Return a link that is missing; ``instead`` are statements that come near, shown by ``fields``."""
    said = ", ".join("/".join(str(entry.predicate[name]) for name in fields) for entry in instead)
    return Link(missing=((rule, f"{what}; those recorded name {said}" if said else what),))


def judge(
    candidates: Sequence[Entry], faults: Callable[[Entry], list[Check]], *, relied_upon: bool, rule: str, what: str
) -> Link:
    """Return the first candidate without a fault as a passed check.

    Where there is none: the last one's faults if something relied upon it, else the link is missing.
    """
    found: list[Check] = []
    for entry in candidates:
        found = faults(entry)
        if not found:
            return Link((held(rule, entry, what),))
    if relied_upon:
        return Link(tuple(found) or (broken(rule, None, f"missing: {what}"),))
    return absent(rule, what + (" (those recorded name something else)" if candidates else ""))
