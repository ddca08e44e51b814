"""Chooses the next action from the state on GitLab: finish before starting, oldest first. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from factory.workflow.claim.lease import Claim

# Seconds for which an action that failed is left alone.
_SHORTEST, _LONGEST = 60.0, 3600.0
_RUNNING = {"created", "waiting_for_resource", "preparing", "pending", "running"}
_OF_REQUESTS = ("review", "merge", "deploy")


@dataclass(frozen=True)
class Candidate:
    """An issue that is ready or claimed, and what its lease allows."""

    issue: int
    claim: Claim


@dataclass(frozen=True)
class Request:
    """The state of one of the factory's merge requests, and whether a person has approved it.

    ``interrupted`` says that an apply of it was, so that nothing is done before a person has examined that. ``shown``
    says that the review note of its head is written, ``behind`` that its author must rebase it, ``unseen`` that
    somebody approved it before the note said what an approval names. ``pipeline`` is the status of its head's pipeline
    if that has not passed, which only a person's own merge request waits for here. ``alone`` says that no approval
    counts, because the person and the factory share one account.
    """

    iid: int
    merged: bool
    approved: bool
    planned: bool
    deploy_approved: bool
    deploy_begun: bool
    interrupted: bool = False
    shown: bool = True
    behind: bool = False
    unseen: bool = False
    pipeline: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Action:
    """The next thing to do: ``deliver`` an issue, or ``review``, ``merge`` or ``deploy`` a merge request."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {'#' if self.kind == 'deliver' else '!'}{self.number}"


class Failures:
    """The actions that failed last. Each is left alone for a time that doubles with each failure, so that others go on.

    ``now`` is in seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self._until: dict[Action, float] = {}
        self._pause: dict[Action, float] = {}

    def add(self, action: Action, now: float) -> None:
        """Count a failure of an action."""
        self._pause[action] = min(_LONGEST, 2 * self._pause.get(action, _SHORTEST / 2))
        self._until[action] = now + self._pause[action]

    def forget(self, action: Action) -> None:
        """Count the failures of an action from none again, because it did not fail."""
        self._pause.pop(action, None)
        self._until.pop(action, None)

    def resting(self, now: float) -> frozenset[Action]:
        """Return the actions that are left alone now."""
        return frozenset(action for action, until in self._until.items() if now < until)


@dataclass(frozen=True)
class Idle:
    """Nothing can be done now; ``waiting`` lists what is waited for."""

    waiting: tuple[str, ...]


def choose(
    candidates: Sequence[Candidate], requests: Sequence[Request], resting: Collection[Action] = ()
) -> Action | Idle:
    """Return the next action: deployments, then merges, then interrupted sessions, then new issues.

    Nothing is chosen that an action in ``resting`` names.
    """
    waiting = [f"{action} failed, and is tried again later" for action in sorted(resting, key=str)]
    candidates = [item for item in candidates if Action("deliver", item.issue) not in resting]
    requests = [item for item in requests if not {Action(kind, item.iid) for kind in _OF_REQUESTS} & set(resting)]
    waiting += [
        f"!{item.iid} has an interrupted apply: examine it with `factory infra recover {item.iid}`"
        for item in requests
        if item.interrupted
    ]
    requests = [item for item in requests if not item.interrupted]
    for request in requests:
        if request.merged and (request.deploy_approved or request.deploy_begun):
            return Action("deploy", request.iid)
        if request.merged and request.planned:
            waiting.append(f"!{request.iid} waits for the approval of its deployment")
    for request in requests:
        if why := _not_ready(request):
            waiting.append(why)
            continue
        if not request.shown:
            return Action("review", request.iid)
        if (request.merged and not request.planned) or (not request.merged and request.approved):
            return Action("merge", request.iid)
        if not request.merged:
            waiting.append(f"!{request.iid} waits for review{_how(request)}")
    for claim in (Claim.RESUME, Claim.TAKE):
        for candidate in candidates:
            if candidate.claim is claim:
                return Action("deliver", candidate.issue)
    waiting += [f"#{item.issue} is held by another session" for item in candidates if item.claim is Claim.HELD]
    return Idle(tuple(waiting))


def _how(request: Request) -> str:
    """Return what the person does after the review, if it is not one approval."""
    if request.alone:
        return f": merge it yourself with `factory mr merge {request.iid}` (separation: none)"
    again = f": approve it again with `factory mr approve {request.iid}`, now that its review note is written"
    return again if request.unseen else ""


def _not_ready(request: Request) -> str:
    """Return what a person's merge request waits for before it can be reviewed, or an empty text."""
    if request.behind:
        return f"!{request.iid} lacks commits of main, and waits for a rebase by its author"
    if request.pipeline:
        more = "" if request.pipeline in _RUNNING else f": see `factory mr show {request.iid}`"
        return f"!{request.iid} waits for its pipeline, which is {request.pipeline}{more}"
    return ""
