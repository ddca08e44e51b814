"""Judges the trial of an agent: an answer for each ability, and the missing abilities that policy claims. Pure."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from factory.agents import token_costs

# The ability that proves each capability in the policy; _ALWAYS lists the abilities that every agent must have.
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
    """One ability: whether the agent has it, and the evidence."""

    ability: str
    answer: Answer
    reason: str


@dataclass(frozen=True)
class TrialResult:
    """The observations of one trial.

    ``speaks``: the agent speaks ACP. ``scripted``: its model is the stub. ``failed``: why the agent did not end its
    work by itself, else empty. ``own`` is the usage that the agent reports, ``counted`` the proxy's count, ``answered``
    the tokens of the work without side requests such as titles. ``cancelled``: seconds until the agent ended after a
    cancellation. ``leaked``: files that contain the planted credential. ``strayed``: other hosts that the agent
    requested. ``left``: processes still running.
    """

    speaks: bool
    scripted: bool
    failed: str = ""
    events: Sequence[Mapping[str, object]] = ()
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
    """Return the name and version that the agent reports in ACP's ``initialize``."""
    agent = next((event for event in seen.events if event["event"] == "agent"), None)
    return f"{agent['name']} {agent['version']}".strip() if agent else ""


def judged(seen: TrialResult) -> tuple[Cell, ...]:
    """Return an answer for each ability."""
    return (
        _starts(seen),
        _cell("edits", seen.wrote, "the file exists", "the file that its model wrote does not exist"),
        _scripted(seen, "runs", seen.ran, "its model's command ran", "its model's command did not run"),
        _usage(seen),
        _asks(seen),
        _tools(seen),
        _resumes(seen),
        _cancels(seen),
        _contained(seen),
    )


def broken(cells: Sequence[Cell], capabilities: Sequence[str]) -> tuple[str, ...]:
    """Return the missing abilities, of those that policy claims and those that every agent must have."""
    required = {_CLAIMS[name] for name in capabilities} | set(_ALWAYS)
    return tuple(cell.ability for cell in cells if cell.ability in required and cell.answer is Answer.NO)


def _cell(ability: str, holds: bool, yes: str, no: str) -> Cell:  # noqa: FBT001 - the answer depends on it alone
    return Cell(ability, Answer.YES if holds else Answer.NO, yes if holds else no)


def _scripted(seen: TrialResult, ability: str, holds: bool, yes: str, no: str) -> Cell:  # noqa: FBT001 - see above
    if not (seen.speaks and seen.scripted):
        why = "the agent has no model that could request it" if seen.speaks else "only the agent's diff is judged"
        return Cell(ability, Answer.NOT_APPLICABLE, why)
    return _cell(ability, holds, yes, no)


def _starts(seen: TrialResult) -> Cell:
    return _cell("starts", not seen.failed, version(seen) or "the agent started and ended", seen.failed)


def _usage(seen: TrialResult) -> Cell:
    own, counted = token_costs.total(seen.own), token_costs.total(seen.counted)
    if not seen.speaks:
        return Cell("usage", Answer.NOT_APPLICABLE, f"only the proxy counts: {counted} tokens")
    if not seen.own:
        return Cell("usage", Answer.NO, f"the agent reports nothing; the proxy counted {counted} tokens")
    if not seen.scripted:
        return Cell("usage", Answer.YES, f"the agent reports {own} tokens; no provider to compare with")
    if own in {counted, seen.answered}:
        side = f" ({counted} with side requests)" if own != counted else ""
        return Cell("usage", Answer.YES, f"equal: {own} tokens{side}")
    return Cell("usage", Answer.NO, f"differs: the agent reports {own} tokens, the proxy counted {counted}")


def _asks(seen: TrialResult) -> Cell:
    asked = [event for event in seen.events if event["event"] == "permission"]
    kinds = sorted({"command" if item["command"] else "edit" if item["paths"] else "tool" for item in asked})
    if not seen.speaks:
        return Cell("asks", Answer.NOT_APPLICABLE, "its protocol has no permission requests")
    return _cell("asks", bool(kinds), ", ".join(kinds), "it requested no permission; only the sandbox contains it")


def _tools(seen: TrialResult) -> Cell:
    no = "its model was offered no tool of the factory" if not seen.offered else "the factory's tool was not called"
    return _scripted(seen, "tools", seen.offered and seen.called, "its model was offered the tool and called it", no)


def _resumes(seen: TrialResult) -> Cell:
    yes, no = "a second process continued the session", "a second process did not know the first process's session"
    return _scripted(seen, "resumes", bool(seen.resumed), yes, no)


def _cancels(seen: TrialResult) -> Cell:
    took = seen.cancelled
    if took is None:
        return _scripted(seen, "cancels", holds=False, yes="", no="not testable: no request reached the model")
    no = f"the agent did not end within {CANCEL_SECONDS:g} s"
    return _scripted(seen, "cancels", took < CANCEL_SECONDS, f"ended after {took:.1f} s", no)


def _contained(seen: TrialResult) -> Cell:
    problems = [f"the credential is in {place}" for place in seen.leaked]
    problems += [f"the agent requested {host}" for host in seen.strayed]
    problems += [f"still running: {what}" for what in seen.left]
    problems += [f"a commit would contain {path}" for path in seen.changed if path not in seen.expected]
    if not seen.injected:
        problems.append("its model received another credential than the proxy's")
    return _cell("contained", not problems, "no leak, no other host, no process left", "; ".join(problems))
