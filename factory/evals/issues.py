"""Reads sets of recorded issues, on which agents, models and briefs are compared; unknown keys are errors. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.model.gitlab import Issue
from factory.system import strict_yaml
from factory.system.strict_fields import Fields

FILE = "issues.yml"
_KEYS = ("name", "title", "text", "spec", "small", "base", "gates", "check")


@dataclass(frozen=True)
class RecordedIssue:
    """An issue as it was written, and the conditions for a passed run.

    ``base`` is the commit to start from (default: the newest). ``gates`` are the local gates that must pass (default:
    all that policy requires). ``check`` is a command that must then exit with 0, instead of a pipeline.
    """

    name: str
    title: str
    text: str
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

    issues: tuple[RecordedIssue, ...]
    recordings: str = ""


def read(text: str, *, source: str, gates: Callable[[str], bool]) -> IssueSet:
    """Parse a set; ``gates`` tests whether a gate exists. Raises ``InvalidInput`` that names the key."""
    fields = Fields(strict_yaml.load(text, source=source), source, "", ("issues", "recordings"))
    issues = []
    for item in fields.each("issues", _KEYS):
        spec, small = item.text("spec", default=""), item.flag("small")
        if bool(spec) == small:
            raise item.problem("spec", "set either `spec` or `small: true`")
        named = item.texts("gates")
        for name in named:
            if not gates(name):
                raise item.problem("gates", f"there is no gate {name!r}")
        title, body, base = item.text("title"), item.text("text"), item.text("base", default="")
        found = RecordedIssue(
            item.text("name"), title, body, spec, small, base, tuple(named), tuple(item.texts("check"))
        )
        issues.append(found)
    names = [item.name for item in issues]
    if not names or len(set(names)) != len(names):
        raise InvalidInput(f"{source}: issues: at least one issue is required, and names must be unique")
    return IssueSet(tuple(issues), fields.text("recordings", default=""))
