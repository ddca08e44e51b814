"""Applies an agent's write requests: each admitted request once, as the bot, on the session's own issue.

Every applied request leaves a note on the issue with a hidden mark of session, kind, id and content digest. The note is
written last. A request that already has a note is not applied again and counts against the caps.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from factory.agents.outputs import (
    Blocked,
    Caps,
    Comment,
    Decision,
    Done,
    EarlierRequest,
    FollowUp,
    Label,
    Question,
    Request,
    RequestFile,
    admit,
)
from factory.checks import leaks
from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import issues
from factory.model.gitlab import Note
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.policies.agents import Outputs
from factory.policies.model import Policies
from factory.reports.markdown import neutral
from factory.system import canonical
from factory.workflow.context import Context

_MARK = re.compile(r"\A<!-- factory:output (\S+) ([a-z_]+) (\S+) (sha256:[0-9a-f]{64}) -->")
_QUOTED_LINES = 200


@dataclass(frozen=True)
class DecidedRequest:
    """One request and its result: admitted, repeated or refused, with the reason.

    ``before`` and ``after`` are digests of what the request changed.
    """

    id: str
    kind: str
    result: str
    why: str = ""
    reason: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class AppliedRequests:
    """The requests on which the workflow must act, and the decision on each request."""

    question: str | None
    blocked: str | None
    done: str | None
    records: tuple[DecidedRequest, ...]


def apply(
    context: Context, session: Session, frozen: FrozenIssue, policies: Policies, asked: RequestFile, *, attempt: int
) -> AppliedRequests:
    """Apply an agent's requests of one attempt; may run again. Raises ``Unreachable``."""
    notes = issues.notes(context.bot, "issues", frozen.iid)
    before = applied(notes, session=session.id, bot=context.bot.account)
    decisions = admit(asked.requests, _caps(policies.outputs), before, leaks=leaks.shapes)
    records = []
    for decision in decisions:
        record = _record(decision)
        if decision.result == "admitted":
            writing = _Writes(context, session, frozen, policies.outputs, attempt)
            try:
                record = writing.write(decision.request, record)
            except (Refused, InvalidInput, Conflict, NotFound) as error:
                record = replace(record, result="refused", reason=str(error)[:300])
        records.append(record)
    unread = [
        DecidedRequest(f"line-{item.line}", "unreadable", "refused", reason=item.reason) for item in asked.refusals
    ]
    admitted = [item.request for item in decisions if item.result == "admitted"]
    return AppliedRequests(
        question=next((item.text for item in admitted if isinstance(item, Question)), None),
        blocked=next((item.why for item in admitted if isinstance(item, Blocked)), None),
        done=next((item.why for item in admitted if isinstance(item, Done)), None),
        records=(*records, *unread),
    )


def applied(notes: Sequence[Note], *, session: str, bot: str) -> dict[str, EarlierRequest]:
    """Return the applied requests of a session by id, from the bot's notes. Pure."""
    found = [match for note in notes if note.author == bot and (match := _MARK.match(note.body))]
    return {match[3]: EarlierRequest(match[2], match[4]) for match in found if match[1] == session}


def _caps(policy: Outputs) -> Caps:
    return Caps(policy.caps.model_dump(), frozenset(policy.labels), policy.characters)


def _record(decision: Decision) -> DecidedRequest:
    request = decision.request
    leaked = any(leaks.shapes(request.id)) or any(leaks.shapes(request.why))
    return DecidedRequest(
        id=request.digest() if leaked else request.id,
        kind=request.kind,
        result=decision.result,
        why="" if leaked else request.why,
        reason=decision.reason,
    )


@dataclass(frozen=True)
class _Writes:
    """Writes the requests of one attempt; an agent's text is written only as quoted, neutral text."""

    context: Context
    session: Session
    frozen: FrozenIssue
    policy: Outputs
    attempt: int

    def write(self, request: Request, record: DecidedRequest) -> DecidedRequest:
        """Apply one request; return its record with the digests of what it changed, before and after."""
        if isinstance(request, Comment):
            text = f"{self._who()} says:\n\n{_quoted(request.text)}"
            return replace(record, after=self._note(request, text))
        if isinstance(request, Label):
            return self._label(request, record)
        if isinstance(request, FollowUp):
            return self._follow_up(request, record)
        return record

    def _label(self, request: Label, record: DecidedRequest) -> DecidedRequest:
        bot, iid = self.context.bot, self.frozen.iid
        before = issues.get(bot, iid).labels
        issues.relabel(bot, iid, add=[request.label])
        after = issues.get(bot, iid).labels
        self._note(request, f"{self._who()} set the label `{request.label}`.")
        return replace(record, before=canonical.digest_of(sorted(before)), after=canonical.digest_of(sorted(after)))

    def _follow_up(self, request: FollowUp, record: DecidedRequest) -> DecidedRequest:
        bot, mark, labels = self.context.bot, f"<!-- factory:{self._mark(request)} -->", self.policy.follow_up_labels
        description = (
            f"{mark}\n{self._who()} requested this issue while it worked on #{self.frozen.iid}. A person "
            f"decides whether the factory works on it.\n\n{_quoted(request.text)}\n\nWhy: {neutral(request.why, 300)}"
        )
        existing = [
            issue
            for issue in issues.find(bot, labels=labels, state="all")
            if issue.author == bot.account and issue.description.startswith(mark)
        ]
        issue = (
            existing[0]
            if existing
            else issues.create(bot, title=request.title, description=description, labels=list(labels))
        )
        self._note(request, f"{self._who()} requested #{issue.iid}.")
        return replace(record, after=canonical.digest_of([issue.title, issue.description]))

    def _note(self, request: Request, text: str) -> str:
        body = f"{text}\n\nWhy: {neutral(request.why, 300)}"
        note = issues.say(self.context.bot, "issues", self.frozen.iid, marker=self._mark(request), body=body)
        return canonical.digest(note.body.encode())

    def _mark(self, request: Request) -> str:
        return f"output {self.session.id} {request.kind} {request.id} {request.digest()}"

    def _who(self) -> str:
        return f"The agent of session {self.session.id} (attempt {self.attempt})"


def _quoted(text: str) -> str:
    """Quote a text line by line so that no command, reference, link or markup in it takes effect."""
    lines = text.split("\n")
    shown = [f"> {neutral(line, len(line))}".rstrip() for line in lines[:_QUOTED_LINES]]
    return "\n".join([*shown, *(["> …"] if len(lines) > _QUOTED_LINES else [])])
