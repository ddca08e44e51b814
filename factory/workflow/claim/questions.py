"""Handles questions of agents: an answer becomes a merge request that adds it to the spec.

Instead of guessing, an agent asks with a line ``Question: …`` in its last message. A person answers with a note on the
issue that begins with ``Answer:``. The factory then proposes the answer as a requirement of the spec. The person
completes its scenario, approves and merges it like any other merge request, and labels the issue as ready again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import accounts, issues, merge_requests
from factory.model.gitlab import MAIN, Issue, Note
from factory.model.issue import SMALL, FrozenIssue
from factory.policies.model import Policies
from factory.reports.markdown import neutral
from factory.specs import read as specs
from factory.system import canonical
from factory.workflow.context import Context

_QUESTION = re.compile(r"^Question: (\S.{0,1000})$", re.MULTILINE)
_ANSWER = re.compile(r"\AAnswer:\s*(\S[\s\S]{0,4000})")
_MARK = re.compile(r"\A<!-- factory:question ([0-9a-f]{12}) ([a-z0-9-]+) -->\n> (.*)$", re.MULTILINE)
_NUMBER = re.compile(r"^(.*-)(\d+)$")
_MAY_ANSWER = ("developer", "maintainer", "owner", "administrator")


@dataclass(frozen=True)
class AnsweredQuestion:
    """An agent's question that a person answered on its issue; ``key`` identifies the question."""

    issue: int
    key: str
    spec: str
    question: str
    answer: str
    by: str


def asked(message: str) -> str | None:
    """Return the question in an agent's last message, or ``None``."""
    found = _QUESTION.findall(message)
    return " ".join(str(found[-1]).split()) if found else None


def ask(context: Context, frozen: FrozenIssue, question: str, *, session: str, policies: Policies) -> None:
    """Write an agent's question on its issue and block the issue until a person answers."""
    key = canonical.digest(f"{session} {question}".encode()).removeprefix("sha256:")[:12]
    labels = policies.session.labels
    body = (
        f"> {neutral(question, 1000)}\n\nThe agent of session {session} asks this question. Answer with a note "
        "that begins with `Answer:`. The factory then proposes the answer as a change of the spec. After you merge it, "
        f"add the label `{labels.ready}` again."
    )
    issues.say(context.bot, "issues", frozen.iid, marker=f"question {key} {frozen.spec}", body=body)
    issues.relabel(context.bot, frozen.iid, add=[labels.blocked], remove=[labels.claimed, labels.ready])


def answered(issue: Issue, notes: list[Note], *, bot: str, agent: str) -> list[AnsweredQuestion]:
    """Return the questions on an issue that someone other than the factory answered later. Pure."""
    found = []
    for index, note in enumerate(notes):
        match = _MARK.search(note.body) if note.author == bot else None
        if match is None or match.group(2) == SMALL:
            continue
        key, spec, question = match.groups()
        given = [
            (text.group(1), later.author)
            for later in notes[index + 1 :]
            if later.author not in {bot, agent} and (text := _ANSWER.search(later.body)) is not None
        ]
        if given:
            answer, by = given[-1]
            found.append(AnsweredQuestion(issue.iid, key, spec, question, " ".join(answer.split()), by))
    return found


def has_question(notes: Sequence[Note]) -> bool:
    """Return whether an agent asked a question on an issue with these notes."""
    return any(_MARK.search(note.body) for note in notes)


def propose_all(context: Context, policies: Policies) -> list[int]:
    """Open one merge request per answer that adds it to its spec; return the merge requests opened now."""
    opened = []
    for issue in issues.find(context.bot, labels=[policies.session.labels.blocked]):
        notes = issues.notes(context.bot, "issues", issue.iid)
        for item in answered(issue, notes, bot=context.bot.account, agent=context.agent.account):
            if item.by in policies.scope.agents or accounts.role(context.bot, item.by) not in _MAY_ANSWER:
                continue
            if merge_requests.find(context.bot, state="all", source_branch=_branch(item)):
                continue
            try:
                opened += _propose(context, item)
            except (NotFound, InvalidInput, Refused, Conflict) as error:
                context.say(f"the answer on #{issue.iid} cannot be proposed: {error}")
    return opened


def amended(content: bytes, item: AnsweredQuestion, *, source: str) -> tuple[bytes, str]:
    """Return a spec with the answer as its next requirement, and that requirement's id. Pure.

    The person must write the scenario; until then `factory spec lint` fails. Raises ``InvalidInput``.
    """
    spec = specs.read(content, source=source)
    numbers = [match for requirement in spec.requirements if (match := _NUMBER.match(requirement.id))]
    prefix = numbers[0].group(1) if numbers else f"{spec.id.upper().replace('-', '')}-"
    name = f"{prefix}{max((int(match.group(2)) for match in numbers), default=0) + 1}"
    lines = content.decode().rstrip("\n").split("\n")
    place = max((requirement.line for requirement in spec.requirements), default=len(lines))
    while place < len(lines) and lines[place].startswith("  ") and lines[place].strip():
        place += 1
    text = f"- **{name}**: {item.answer} (answers #{item.issue}: {item.question})"
    lines.insert(place, text)
    lines.append(f"- {name}: Given TODO, When TODO, Then TODO.")
    changed = "\n".join(lines) + "\n"
    return re.sub(
        r"^version: \d+$", f"version: {spec.version + 1}", changed, count=1, flags=re.MULTILINE
    ).encode(), name


def _branch(item: AnsweredQuestion) -> str:
    return f"spec/{item.issue}-{item.key}"


def _propose(context: Context, item: AnsweredQuestion) -> list[int]:
    main, path = context.main(), specs.path_of(item.spec)
    content, name = amended(context.mirror.read(main, path), item, source=path)
    title = f"Spec {item.spec}: answer a question of #{item.issue}"
    commit = context.mirror.commit(
        {path: content},
        parent=main,
        message=f"{title}\n\n> {item.question}\n\nIssue: #{item.issue}\nSpec: {item.spec}\nRequirement: {name}\n",
        author=context.bot_author,
    )
    context.mirror.push(commit, _branch(item), context.accounts.bot_token)
    body = (
        f"{item.by} answered a question on #{item.issue}. Proposed as {name}:\n\n> {item.answer}\n\nWrite its scenario "
        f"(`factory spec lint {path}` shows the open items), then approve and merge this merge request.\n\n"
        f"Spec: {item.spec}\n"
    )
    request = merge_requests.open_once(
        context.bot, source=_branch(item), target=MAIN, title=title, description=body, labels=[]
    )
    context.say(f"the answer on #{item.issue} is proposed as !{request.iid}")
    return [request.iid]
