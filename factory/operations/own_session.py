"""A person's own session: a worktree, a brief, and what `factory propose` commits of the work."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from factory.gitlab import issues
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, Issue
from factory.policies.model import Policies
from factory.system import data, files, templates
from factory.worktrees.person_clone import PersonClone

BRIEF = Path(".factory/brief.md")
_RECORD = "factory-session.json"
_LONGEST = 40
_TEMPLATE = """# {{ issue.title }}

Issue: #{{ issue.iid }}
{% if issue.description %}

{{ issue.description }}
{% endif %}

## Rules

- Work only in this folder. Do not commit or push: `factory propose` does.
- A change needs tests that run its lines{% if tests %}; `factory app test .factory/tests` runs all tests{% endif %}.
- Before the change is proposed these gates must pass: {{ gates | join(", ") }}. `factory gate run` runs them.
- These paths judge the change; leave them alone unless the issue asks for them: policies/, .gitlab/, specs/.
"""


@dataclass(frozen=True)
class OwnSession:
    """The issue that a person works on in a worktree, and the agent that helps; empty if none does."""

    issue: int
    title: str
    agent: str

    def message(self) -> str:
        """Return the commit message of the session's work: its trailers name the issue and the agent."""
        agent = f"Agent: {self.agent}, supervised, level host\n" if self.agent else ""
        return f"{self.title}\n\nIssue: #{self.issue}\n{agent}"


def opened(person: Connection, text: str) -> Issue:
    """Return the issue with a number such as ``7`` or ``#7``, or open one with the text as its title.

    An open issue of the person with that title is taken, so that a start that was cut off can be repeated.
    """
    plain = text.removeprefix("#")
    if plain.isdigit():
        return issues.get(person, int(plain))
    same = (item for item in issues.find(person) if (item.title, item.author) == (text, person.account))
    return next(same, None) or issues.create(person, title=text, description="", labels=[])


def start(clone: PersonClone, issue: Issue, policies: Policies, *, remote: str, agent: str) -> PersonClone:
    """Check out a branch at the project's main beside the clone, and write its brief and its record.

    Raises ``Conflict`` if the folder or the branch exists.
    """
    clone.ahead(remote)  # fetches main
    name = re.sub(r"[^a-z0-9]+", "-", issue.title.lower()).strip("-")[:_LONGEST].strip("-")
    folder = clone.path.parent / f"{clone.path.name}-{issue.iid}"
    made = clone.add_worktree(folder, f"{issue.iid}-{name}", f"refs/remotes/{remote}/{MAIN}")
    made.ignore(f"/{BRIEF.parent}/")
    local = [gate for gate, rule in policies.gates.gates.items() if rule.where == "local" and rule.required]
    values = {"issue": issue, "gates": local, "tests": "unit" in local}
    files.write_atomic(folder / BRIEF, templates.render(_TEMPLATE, values, source="the brief").encode())
    files.write_atomic(made.private(_RECORD), data.write(OwnSession(issue.iid, issue.title, agent)))
    return made


def read(clone: PersonClone) -> OwnSession | None:
    """Return the session of a checkout, if it is one's worktree."""
    path = clone.private(_RECORD)
    return data.read(OwnSession, files.read_bytes(path), source=str(path)) if path.exists() else None


def every(clone: PersonClone) -> Iterator[tuple[PersonClone, OwnSession]]:
    """Yield the worktrees of a clone that are sessions of one's own."""
    for worktree in clone.worktrees():
        found = read(worktree)
        if found is not None:
            yield worktree, found
