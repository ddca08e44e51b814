"""What a trial of an agent shows: an answer for each ability, and what of policy's claims fails. Pure."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory.agents import metering

# Which ability proves which capability that policy claims; what must hold whatever is claimed.
_CLAIMS: Mapping[str, str] = {
    "edit": "edits",
    "run": "runs",
    "usage": "usage",
    "resume": "resumes",
    "cancel": "cancels",
}
_ALWAYS = ("starts", "contained")
_INSTALLS: Mapping[str, str] = {
    **dict.fromkeys(("codex-acp", "claude-agent-acp", "opencode"), "factory setup --agents"),
    "gemini": "npm install --global @google/gemini-cli",
    "aider": "pipx install aider-chat",
}
CANCEL_SECONDS = 5.0


class Answer(enum.StrEnum):
    """Whether an agent has an ability."""

    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Cell:
    """One ability: whether the agent has it, and how that was seen."""

    ability: str
    answer: Answer
    reason: str


@dataclass(frozen=True)
class TrialResult:
    """What a trial saw of an agent.

    ``speaks`` tells that the agent speaks ACP, ``scripted`` that its model is the stub. ``failed`` says why it did not
    end its work by itself, nothing where it did. ``own`` is its usage in its own words, ``counted`` the proxy's,
    ``answered`` that of the work alone, without titles and the like. ``cancelled`` is how many seconds it took to end.
    ``leaked`` names the files with the planted credential, ``strayed`` the other hosts, ``left`` what went on running.
    """

    speaks: bool
    scripted: bool
    failed: str = ""
    events: Sequence[Mapping[str, Any]] = ()
    wrote: bool = False
    changed: Sequence[str] = ()
    expected: Sequence[str] = ()
    ran: bool = False
    own: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)
    answered: int = 0
    offered: bool = False
    called: bool = False
    resumed: bool | None = None
    cancelled: float | None = None
    injected: bool = True
    leaked: Sequence[str] = ()
    strayed: Sequence[str] = ()
    left: Sequence[str] = ()


def installs(program: str) -> str:
    """Return the command that installs an agent's program."""
    return _INSTALLS.get(program, f"install the program {program}")


def version(seen: TrialResult) -> str:
    """Return who the agent says that it is, as ACP's ``initialize`` told."""
    told = next((event for event in seen.events if event["event"] == "agent"), None)
    return f"{told['name']} {told['version']}".strip() if told else ""


def judged(seen: TrialResult) -> tuple[Cell, ...]:
    """Return an answer for each ability."""
    return (
        _starts(seen),
        _cell("edits", seen.wrote, "the file is there", "the file that its model wrote is not there"),
        _scripted(seen, "runs", seen.ran, "its model's command ran", "its model's command did not run"),
        _usage(seen),
        _asks(seen),
        _tools(seen),
        _resumes(seen),
        _cancels(seen),
        _contained(seen),
    )


def broken(cells: Sequence[Cell], capabilities: Sequence[str]) -> tuple[str, ...]:
    """Return the abilities that must hold and do not: those that policy claims, and those that are never given up."""
    wanted = {_CLAIMS[name] for name in capabilities} | set(_ALWAYS)
    return tuple(cell.ability for cell in cells if cell.ability in wanted and cell.answer is Answer.NO)


def _cell(ability: str, holds: bool, yes: str, no: str) -> Cell:  # noqa: FBT001 - the one thing it decides by
    return Cell(ability, Answer.YES if holds else Answer.NO, yes if holds else no)


def _scripted(seen: TrialResult, ability: str, holds: bool, yes: str, no: str) -> Cell:  # noqa: FBT001 - see above
    if not (seen.speaks and seen.scripted):
        why = "it has no model that could ask for it" if seen.speaks else "it is judged by its diff alone"
        return Cell(ability, Answer.NOT_APPLICABLE, why)
    return _cell(ability, holds, yes, no)


def _starts(seen: TrialResult) -> Cell:
    return _cell("starts", not seen.failed, version(seen) or "it started and ended", seen.failed)


def _usage(seen: TrialResult) -> Cell:
    own, counted = metering.total(seen.own), metering.total(seen.counted)
    if not seen.speaks:
        return Cell("usage", Answer.NOT_APPLICABLE, f"the proxy counts for it: {counted} tokens")
    if not seen.own:
        return Cell("usage", Answer.NO, f"it reports nothing; the proxy counted {counted} tokens")
    if not seen.scripted:
        return Cell("usage", Answer.YES, f"it reports {own} tokens; there is no provider to compare with")
    if own in {counted, seen.answered}:
        return Cell("usage", Answer.YES, f"equal: {own} tokens" + (f" of {counted} with side work" * (own != counted)))
    return Cell("usage", Answer.NO, f"differs: it reports {own} tokens, the proxy counted {counted}")


def _asks(seen: TrialResult) -> Cell:
    asked = [event for event in seen.events if event["event"] == "permission"]
    kinds = sorted({"command" if item["command"] else "edit" if item["paths"] else "tool" for item in asked})
    if not seen.speaks:
        return Cell("asks", Answer.NOT_APPLICABLE, "its protocol has no questions")
    return _cell("asks", bool(kinds), ", ".join(kinds), "it asked for nothing; only the sandbox holds it")


def _tools(seen: TrialResult) -> Cell:
    no = "its model was offered no tool of the factory" if not seen.offered else "the factory's tool was not called"
    return _scripted(seen, "tools", seen.offered and seen.called, "offered to its model, and called", no)


def _resumes(seen: TrialResult) -> Cell:
    yes, no = "a second process went on with the session", "a second process did not know the first one's session"
    return _scripted(seen, "resumes", bool(seen.resumed), yes, no)


def _cancels(seen: TrialResult) -> Cell:
    took = seen.cancelled
    if took is None:
        return _scripted(seen, "cancels", holds=False, yes="", no="it could not be tried: no request reached the model")
    no = f"it did not end within {CANCEL_SECONDS:g} s"
    return _scripted(seen, "cancels", took < CANCEL_SECONDS, f"ended after {took:.1f} s", no)


def _contained(seen: TrialResult) -> Cell:
    problems = [f"the credential is in {place}" for place in seen.leaked]
    problems += [f"it asked for {host}" for host in seen.strayed]
    problems += [f"it left running: {what}" for what in seen.left]
    problems += [f"a commit would hold {path}" for path in seen.changed if path not in seen.expected]
    if not seen.injected:
        problems.append("its model got another credential than the proxy's")
    return _cell("contained", not problems, "no leak, no other host, nothing left", "; ".join(problems))
