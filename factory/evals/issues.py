"""Reads sets of recorded issues, on which agents, models and briefs are compared; unknown keys are errors. Pure."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from factory.errors import InvalidInput
from factory.model.gitlab import Issue
from factory.system import data, strict_yaml
from factory.system.data import Field, Named

FILE = "issues.yml"


@dataclass(frozen=True)
class RecordedIssue:
    """An issue as it was written, and the conditions for a passed run.

    ``base`` is the commit to start from (default: the newest). ``gates`` are the local gates that must pass (default:
    all that policy requires). ``check`` is a command that must then exit with 0, instead of a pipeline.
    """

    name: Named
    title: Named
    text: Named
    spec: str = ""
    small: bool = False
    base: str = ""
    gates: tuple[str, ...] = ()
    check: tuple[str, ...] = ()

    def issue(self, number: int, *, small: str) -> Issue:
        """Return the issue in GitLab's form; ``small`` is the label of small issues."""
        text = f"{self.text.rstrip()}\n\nSpec: {self.spec}" if self.spec else self.text.rstrip()
        return Issue(number, self.title, text, "opened", (small,) if self.small else (), "operator", "", "")


@dataclass(frozen=True)
class IssueSet:
    """Recorded issues; ``recordings`` is the set's folder with the replay agent's recordings, if any."""

    issues: Annotated[tuple[RecordedIssue, ...], Field(min_length=1)]
    recordings: str = ""


def read(text: str, *, source: str, gates: Callable[[str], bool]) -> IssueSet:
    """Parse a set; ``gates`` tests whether a gate exists. Raises ``InvalidInput`` that names the key."""
    found = data.parse(IssueSet, json.dumps(strict_yaml.load(text, source=source)).encode(), source=source)
    for number, item in enumerate(found.issues):
        where = f"{source}: issues.{number}"
        if bool(item.spec) == item.small:
            raise InvalidInput(f"{where}.spec: set either `spec` or `small: true`")
        for name in item.gates:
            if not gates(name):
                raise InvalidInput(f"{where}.gates: there is no gate {name!r}")
    if len({item.name for item in found.issues}) != len(found.issues):
        raise InvalidInput(f"{source}: issues: names must be unique")
    return found
