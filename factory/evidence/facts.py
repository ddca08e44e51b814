"""Gathers the statements about one merge request, and defines the results that the chain's rules return."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from factory.evidence.transparency_log import Entry
from factory.evidence.trust import Trust

# Statements about an issue, before it has a merge request.
_BEFORE = frozenset({"claim", "attempt", "handover"})


@dataclass(frozen=True)
class Check:
    """The result of one rule: its id, the log index that it is about (``None``: the whole log), and the reason."""

    rule: str
    statement: int | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Link:
    """One link of the chain: the checks of its statements, and missing statements as (rule, description)."""

    checks: tuple[Check, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Facts:
    """The statements about one merge request, by kind, in the order of the log."""

    trust: Trust
    of: Mapping[str, Sequence[Entry]] = field(repr=False)
    own: Sequence[Entry] = field(repr=False)
    merge: Entry | None
    head: str | None
    verdict: Entry | None

    @property
    def merge_commit(self) -> str | None:
        """The merge commit, or ``None`` before the merge."""
        return None if self.merge is None else str(self.merge.predicate["merge_commit"])

    @property
    def by_hand(self) -> bool:
        """Whether a person made the change by hand: it has a proposal, and its issue was never claimed."""
        return bool(self.of.get("proposal")) and not self.of.get("claim")

    @property
    def unchanged(self) -> Entry | None:
        """The statement that main's plan of the merge commit changes no stack, or ``None``."""
        return last(self.some("unchanged", commit=self.merge_commit))

    def before_merge(self, entry: Entry) -> bool:
        """Return whether the entry was recorded before the merge; also true if no merge is recorded."""
        return self.merge is None or entry.index < self.merge.index

    def some(self, kind: str, **values: object) -> list[Entry]:
        """Return the statements of a kind that have these values in the predicate."""
        found = self.of.get(kind, ())
        return [entry for entry in found if all(entry.predicate[name] == value for name, value in values.items())]


class ByMergeRequest:
    """The statements of a log, grouped once, so that each merge request's are found without reading all."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._own: dict[int, list[Entry]] = {}
        self._of_work: dict[str, list[Entry]] = {}
        self._loose: list[Entry] = []
        for entry in entries:
            number = entry.predicate.get("merge_request")
            if number is not None:
                self._own.setdefault(number, []).append(entry)
            elif entry.kind in _BEFORE:
                self._of_work.setdefault(work(entry), []).append(entry)
            elif entry.kind == "plan":
                self._loose.append(entry)

    def numbers(self) -> list[int]:
        """Return the merge requests that the statements name, in ascending order."""
        return sorted(self._own)

    def about(self, merge_request: int) -> list[Entry]:
        """Return every statement that ``gather`` uses for a merge request, in the order of the log."""
        own = self._own.get(merge_request, [])
        before = self._of_work.get(work(own[0]), []) if own else []
        return sorted([*own, *before, *self._loose], key=lambda entry: entry.index)


def gather(entries: Sequence[Entry], merge_request: int, trust: Trust) -> Facts | None:
    """Return the facts about a merge request, or ``None`` if no statement names it."""
    own = [entry for entry in entries if entry.predicate.get("merge_request") == merge_request]
    if not own:
        return None
    of: dict[str, list[Entry]] = {}
    for entry in entries:
        about_issue = entry.kind in _BEFORE and work(entry) == work(own[0])
        # A plan of the default branch may name no merge request; `Facts.some` selects it by its commit.
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
    """Return the last entry, or ``None``."""
    return entries[-1] if entries else None


def held(rule: str, entry: Entry, reason: str) -> Check:
    """Return a check that passed."""
    return Check(rule, entry.index, passed=True, reason=reason)


def broken(rule: str, entry: Entry | None, reason: str) -> Check:
    """Return a finding."""
    return Check(rule, None if entry is None else entry.index, passed=False, reason=reason)


def differs(rule: str, entry: Entry, what: str, found: object, wanted: object) -> Check:
    """Return a finding that names the found and the required value."""
    return broken(rule, entry, f"the statement names the {what} {found}, but it must be {wanted}")


def absent(rule: str, what: str, instead: Sequence[Entry] = (), *fields: str) -> Link:
    """Return a missing link; the description lists ``fields`` of the similar statements in ``instead``."""
    named = ", ".join("/".join(str(entry.predicate[name]) for name in fields) for entry in instead)
    return Link(missing=((rule, f"{what}; the recorded statements name {named}" if named else what),))


def judge(
    candidates: Sequence[Entry], faults: Callable[[Entry], list[Check]], *, relied_upon: bool, rule: str, what: str
) -> Link:
    """Return the first candidate without faults as a passed check.

    If every candidate has faults, return the last candidate's faults if something relied on it, else a missing link.
    """
    found: list[Check] = []
    for entry in candidates:
        found = faults(entry)
        if not found:
            return Link((held(rule, entry, what),))
    if relied_upon:
        return Link(tuple(found) or (broken(rule, None, f"missing: {what}"),))
    return absent(rule, what + (" (the recorded ones name something else)" if candidates else ""))
