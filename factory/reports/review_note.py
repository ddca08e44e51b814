"""Renders the review note: what a person must know to decide on a merge request, readable in ten seconds.

The agent wrote the claim, the test names and the paths, so all text passes ``markdown.neutral``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from factory.model.facts import PlannedChange
from factory.model.verdict import Finding, Verdict
from factory.reports import findings
from factory.reports.markdown import count, fit, folded, link, name, neutral, some, span

# GitLab accepts notes of 1,000,000 characters, but nobody reads them. Each part has a limit; the rest is only counted.
_DECIDE, _WRONG, _LOOK, _ROWS, _BEHAVIOUR, _GATES, _CLAIM, _LINKS = 2000, 2200, 1200, 4200, 1800, 1500, 2500, 600
_WORD, _TEXT, _CLAIMED = 30, 200, 500
_NAMES, _TESTS, _PER_GATE = 5, 3, 5

_ACTIONS = ("create", "update", "delete")
_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "–"}  # noqa: RUF001 - a dash as wide as the other signs


@dataclass(frozen=True)
class Row:
    """One requirement and the tests that cite it, as pairs of name and outcome (``success``, ``failed``, …)."""

    requirement: str
    text: str
    tests: tuple[tuple[str, str], ...] = ()

    @property
    def proven(self) -> bool:
        """Whether at least one test cites the requirement and all of them passed."""
        return bool(self.tests) and all(outcome == "success" for _, outcome in self.tests)


@dataclass(frozen=True)
class AcceptedFinding:
    """A finding that policy accepts: its rule, its subject, the owner of the exception and its expiry date."""

    rule: str
    subject: str
    owner: str
    expires: str


@dataclass(frozen=True)
class Behaviour:
    """What changes outside the code; ``None`` means unknown, an empty tuple means no change.

    ``contract`` has the changed lines of the API contract; ``added`` and ``removed`` are dependencies.
    """

    contract: tuple[str, ...] | None = None
    plan: tuple[PlannedChange, ...] | None = None
    added: tuple[str, ...] | None = None
    removed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Risk:
    """A risk from policy that applies to the change: its name, the question for a person, and why it applies."""

    name: str
    decide: str
    why: str


@dataclass(frozen=True)
class Cost:
    """The cost of the change; ``tokens`` is ``None`` if the agent does not report them.

    ``minutes_left`` are compute minutes of this month; ``None`` if GitLab does not tell, or the jobs cost none.
    """

    attempts: int
    tokens: int | None
    agent_seconds: float
    job_seconds: float
    minutes_left: int | None = None


@dataclass(frozen=True)
class ReviewNote:
    """The content of the note; an approval of ``head`` also names ``issue``, ``spec_digest``, ``policy`` and ``plan``.

    ``required`` are the gates that must pass, ``claim`` is the agent's own summary (``None`` without agent),
    ``decisions`` are the questions for a person besides those of the risks, ``would_block`` are the gates that did not
    pass and are only observed, ``links`` are pairs of label and URL.
    """

    merge_request: int
    issue: str
    head: str
    spec: str
    spec_digest: str
    policy: str
    plan: str
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    required: tuple[str, ...]
    behaviour: Behaviour
    claim: str | None
    cost: Cost
    excused: tuple[AcceptedFinding, ...] = ()
    risks: tuple[Risk, ...] = ()
    decisions: tuple[str, ...] = ()
    would_block: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def render(note: ReviewNote) -> str:
    """Return the note as GitLab-flavoured markdown of less than 20,000 characters.

    The first line says whether a person can decide, and on what. Only the lines with the digests that an approval
    names begin with ``- ``.
    """
    parts = [
        [_headline(note)],
        _wrong(note),
        _decide(note),
        _look(note),
        _requirements(note),
        _summary(note),
        folded("What changed in behaviour", fit(_changes(note.behaviour), _BEHAVIOUR)),
        folded("The agent's claim, in its own words (not verified)", _claim(note.claim)),
        folded(f"Gates: {_counts(note)}", fit(_gates(note), _GATES)),
        folded("What an approval names", _digests(note)),
        fit([f"* {link(label, url)}" for label, url in note.links], _LINKS),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _headline(note: ReviewNote) -> str:
    results = {verdict.gate: verdict.result for verdict in note.verdicts}
    problems = []
    for word, result in (("failed", "failed"), ("not checked", "skipped"), ("not run", None)):
        gates = [neutral(gate, _WORD) for gate in note.required if results.get(gate) == result]
        if gates:
            problems.append(f"{word}: {some(gates, _NAMES)}")
    proven = f"{sum(row.proven for row in note.rows)} of {count(len(note.rows), 'requirement')} proven"
    proven = proven if note.rows else "no requirements"
    if not _ready(note):
        why = "; ".join(problems) or "no gate is required"
        return f"**✗ Do not approve yet** — {why}; {proven}. Wait until this line says ready."
    points = len(note.risks) + len(note.decisions)
    first = f"Decide {count(points, 'point')} below, then approve" if points else "Approve"
    observed = f"Gates are observed: {some(note.would_block, _NAMES)} would block this. " if note.would_block else ""
    sign = "✓ Ready" if all(row.proven for row in note.rows) else "! Ready, with unproven requirements"
    return (
        f"**{sign}** — {count(len(note.required), 'required gate')} passed, {proven}. {observed}"
        f"{first} here or with `factory mr approve {note.merge_request}`."
    )


def _ready(note: ReviewNote) -> bool:
    results = {verdict.gate: verdict.result for verdict in note.verdicts}
    return bool(note.required) and all(results.get(gate) == "passed" for gate in note.required)


def _decide(note: ReviewNote) -> list[str]:
    questions = [
        f"**{neutral(risk.decide, _TEXT)}** {neutral(risk.why, _TEXT)} (risk: {name(risk.name)})" for risk in note.risks
    ]
    questions += [neutral(decision, _TEXT) for decision in note.decisions]
    numbered = [f"{number}. {text}" for number, text in enumerate(questions, 1)]
    when = "" if _ready(note) else ", once it is ready"
    return [f"**You decide**{when}", "", *fit(numbered, _DECIDE)] if questions else []


def _wrong(note: ReviewNote) -> list[str]:
    lines = [line for verdict in note.verdicts if verdict.gate in note.required for line in _unpassed(verdict)]
    return ["**What is wrong**", "", *fit(lines, _WRONG)] if lines else []


def _look(note: ReviewNote) -> list[str]:
    lines = [f"* {_finding(flag)}" for verdict in note.verdicts for flag in verdict.flags]
    lines += [line for verdict in note.verdicts if verdict.gate not in note.required for line in _unpassed(verdict)]
    return ["**Look at** (does not block)", "", *fit(lines, _LOOK)] if lines else []


def _unpassed(verdict: Verdict) -> list[str]:
    if verdict.result == "passed":
        return []
    reason = f": {neutral(verdict.reason, _TEXT)}" if verdict.reason else ""
    left = len(verdict.findings) - _PER_GATE
    return [
        f"* {_SIGNS[verdict.result]} {name(verdict.gate)} {verdict.result}{reason}",
        *(f"  * {_finding(finding)}" for finding in verdict.findings[:_PER_GATE]),
        *([f"  * and {left} more"] if left > 0 else []),
    ]


def _finding(finding: Finding) -> str:
    place = f"{name(findings.where(finding))} " if finding.path else ""
    return f"{place}{neutral(finding.message, _TEXT)} ({name(finding.rule)})"


def _requirements(note: ReviewNote) -> list[str]:
    if not note.rows:
        return []
    # Unproven requirements come first, so that a long table does not leave them out.
    rows = [_row(row) for row in sorted(note.rows, key=lambda row: row.proven)]
    return ["| | Requirement | Proven by |", "|---|---|---|", *fit(rows, _ROWS)]


def _row(row: Row) -> str:
    tests = [
        f"{name(test)} {'passed' if outcome == 'success' else f'**{neutral(outcome, _WORD)}**'}"
        for test, outcome in sorted(row.tests, key=lambda test: test[1] == "success")
    ]
    sign, shown = "✓" if row.proven else "✗", some(tests, _TESTS) or "**no test**"
    return f"| {sign} | {name(row.requirement)} {neutral(row.text, _TEXT)} | {shown} |"


def _summary(note: ReviewNote) -> list[str]:
    cost, risks = note.cost, [name(risk.name) for risk in note.risks]
    tokens = "tokens not reported" if cost.tokens is None else f"{cost.tokens:,} tokens"
    spent = [count(cost.attempts, "attempt"), tokens, f"agent {span(cost.agent_seconds)}"]
    left = "" if cost.minutes_left is None else f" ({count(cost.minutes_left, 'compute minute')} left this month)"
    return [
        f"* **Behaviour:** {_behaviour(note.behaviour)}",
        f"* **Risk:** {some(risks, _NAMES) or 'none listed in policy'}",
        f"* **Cost:** {', '.join(spent)}, jobs {span(cost.job_seconds)}{left}",
    ]


def _behaviour(behaviour: Behaviour) -> str:
    contract, plan, added, removed = behaviour.contract, behaviour.plan, behaviour.added, behaviour.removed
    parts = ["contract not compared" if contract is None else f"contract {_changed(contract)}"]
    if plan is None:
        parts.append("no plan")
    else:
        counts = [(sum(action in change.actions for change in plan), action) for action in _ACTIONS]
        parts.append("plan " + (", ".join(f"{number} to {action}" for number, action in counts if number) or "empty"))
    known = added is not None and removed is not None
    parts.append(f"dependencies +{len(added or ())} -{len(removed or ())}" if known else "dependencies not compared")
    return " · ".join(parts)


def _changed(lines: Sequence[str]) -> str:
    return f"{count(len(lines), 'line')} changed" if lines else "unchanged"


def _changes(behaviour: Behaviour) -> list[str]:
    planned = [change for change in behaviour.plan or () if set(change.actions) - {"no-op", "read"}]
    return [
        *(f"* plan: {neutral('/'.join(change.actions), _WORD)} {name(change.address)}" for change in planned),
        *(f"* dependency added: {name(package)}" for package in behaviour.added or ()),
        *(f"* dependency removed: {name(package)}" for package in behaviour.removed or ()),
        *(f"* contract: {neutral(line, _TEXT)}" for line in behaviour.contract or ()),
    ]


def _claim(claim: str | None) -> list[str]:
    if claim is None:
        return []
    # Two trailing spaces keep the agent's line breaks in markdown.
    quoted = [neutral(line, _CLAIMED) for line in claim.strip().splitlines()]
    return fit([f"> {line}  " if line else ">" for line in quoted], _CLAIM) or ["> (nothing)"]


def _counts(note: ReviewNote) -> str:
    results = [verdict.result for verdict in note.verdicts]
    counts = [f"{results.count(result)} {result}" for result in ("passed", "failed", "skipped") if result in results]
    flags = sum(len(verdict.flags) for verdict in note.verdicts)
    counts += [count(flags, "flag")] if flags else []
    counts += [f"{len(note.excused)} excused"] if note.excused else []
    return ", ".join(counts)


def _gates(note: ReviewNote) -> list[str]:
    accepted = [
        f"* excused: {name(item.rule)} {name(item.subject)}, owner {name(item.owner)}, until {name(item.expires)}"
        for item in note.excused
    ]
    return [*accepted, *(f"* {_SIGNS[item.result]} {name(item.gate)} {item.result}" for item in note.verdicts)]


def _digests(note: ReviewNote) -> list[str]:
    named = {"issue": note.issue, "head": note.head, "spec": note.spec_digest, "policy": note.policy, "plan": note.plan}
    return [
        f"Spec {name(note.spec)}. If any of these changes, the approval is void:" if note.spec else "No spec.",
        "",
        *(f"- {key}: {name(value)}" for key, value in named.items() if value),
    ]
