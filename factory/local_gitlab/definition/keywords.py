"""Refuses the keywords of a pipeline definition that the loopback GitLab does not honour, with their lines.

A keyword that is ignored would make a pipeline green that is not green on GitLab.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.local_gitlab.definition import checkout, conditions, durations
from factory.local_gitlab.definition.keyword_table import ANY, GLOBAL, REFUSED, TABLE, verdict
from factory.system.strict_yaml import MERGE, Node

_REFERENCE = "!reference"
_WHENS = {"on_success", "on_failure", "always", "manual", "never"}
# docs: rules:changes and rules:exists; environment:name; environment:deployment_tier.
_MOST_PATTERNS = 50
_ENVIRONMENT_NAME = re.compile(r"[\w ./${}-]+")
_TIERS = ("production", "staging", "testing", "development", "other")
# docs: trigger, and Downstream pipelines: what a job that starts a pipeline may have.
_TRIGGERING = {"trigger", "stage", "needs", "rules", "variables", "inherit", "allow_failure", "when", "extends"}
_CHILD = "$CI_PROJECT_PATH"


@dataclass(frozen=True)
class Problem:
    """A keyword that is not honoured, where it stands, and what to do instead."""

    keyword: str
    line: int
    words: str

    def text(self, source: str) -> str:
        """Return the problem as one line, with the name of its file."""
        return f"{source}:{self.line}: `{self.keyword}` {self.words}"


def check(document: Node | None, *, joined: bool = False) -> list[Problem]:
    """Return the keywords of a definition's file that are not honoured; ``joined`` jobs have their defaults. Pure."""
    walk = _Walk()
    for key, value in document.pairs if document else ():
        name = key.text or ""
        if value.tag != MERGE and not name.startswith("."):
            walk.found += _triggering(value, {"script", "run"} if joined else None)
        if name in GLOBAL or name.startswith("!"):
            walk.keyword(name, name, key.line, value)
        else:
            walk.job(name, key.line, value)
    return walk.found


def refuse(document: Node | None, source: str, *, joined: bool = False) -> None:
    """Raise ``InvalidInput`` with every keyword of a file that is not honoured, one on a line."""
    if problems := check(document, joined=joined):
        raise InvalidInput("\n".join(dict.fromkeys(problem.text(source) for problem in problems)))


class _Walk:
    """Visits each value of a file once for each keyword, however many aliases name it."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._seen: set[tuple[str, int]] = set()

    def job(self, name: str, line: int, node: Node) -> None:
        if name.startswith("."):
            # A hidden job may hold anything for `!reference`; a keyword that is refused stays refused.
            for key, value in node.pairs:
                if key.tag == MERGE or f"job.{key.text}" in TABLE:
                    self._pair("job", "", key, value)
        elif not node.pairs:
            self.found.append(Problem(name, line, "is neither a keyword nor a job"))
        else:
            self._inner("job", "", node)

    def keyword(self, path: str, shown: str, line: int, node: Node) -> None:
        known = verdict(path)
        if known is None:
            words: str | None = "is not a keyword of GitLab"
        elif known.startswith(REFUSED):
            words = f"is not supported by the loopback GitLab: {known.removeprefix(REFUSED)}"
        else:
            words = _value(path, node) or _git_variable(path, shown, node)
        if words:
            self.found.append(Problem(shown, line, words))
        elif path in TABLE:
            self._inner(path, shown, node)

    def _pair(self, above: str, shown: str, key: Node, value: Node) -> None:
        if key.tag == MERGE:
            for item in value.items or (value,):
                self._inner(above, shown, item)
            return
        path = f"{above}.{key.text}"
        if path not in TABLE and f"{above}.{ANY}" in TABLE:
            path = f"{above}.{ANY}"
        self.keyword(path, f"{shown}:{key.text}".lstrip(":"), key.line, value)

    def _inner(self, path: str, shown: str, node: Node) -> None:
        if (path, id(node)) in self._seen:
            return
        self._seen.add((path, id(node)))
        for key, value in node.pairs:
            self._pair(path, shown, key, value)
        for item in node.items:
            self._inner(path, shown, item)


def _triggering(job: Node, wrong: Collection[str] | None) -> list[Problem]:
    """Return the keywords that a job with ``trigger`` must not have: those ``wrong``, or all that GitLab refuses."""
    if all(key.text != "trigger" for key, _ in job.pairs):
        return []
    words = "does not stand beside `trigger`"
    return [
        Problem(key.text or "", key.line, words)
        for key, _ in job.pairs
        if key.tag != MERGE and (key.text not in _TRIGGERING if wrong is None else key.text in wrong)
    ]


def _value(path: str, node: Node) -> str | None:
    """Return what is wrong with a keyword's value, or ``None``."""
    last = path.rpartition(".")[2]
    if node.tag == _REFERENCE:
        outside = path.startswith(("default", "workflow", "include")) or last == "if"
        return "takes no `!reference` in the loopback GitLab; write the value" if outside else None
    if last == "if":
        return _condition(node)
    check = _VALUES.get(path.replace("default.", "job.", 1))
    return check(node) if check else None


def _git_variable(path: str, shown: str, node: Node) -> str | None:
    """Return why a variable that says how to check out is not honoured; one that names others is judged in the job."""
    above, _, last = path.removesuffix(".value").rpartition(".")
    if last != ANY or above.rpartition(".")[2] != "variables":
        return None
    return checkout.written_problem(shown.removesuffix(":value").rpartition(":")[2], node.text or "")


def _condition(node: Node) -> str | None:
    if node.text is None:
        return "is not a text"
    try:
        conditions.evaluate(node.text, {})
    except InvalidInput as error:
        return str(error)
    return None


def _when(node: Node) -> str | None:
    known = node.text in _WHENS
    return None if known else f"has the value {node.text!r}, which is not supported: {', '.join(sorted(_WHENS))}"


def _duration(node: Node) -> str | None:
    readable = node.text == "never" or durations.seconds(node.text or "") is not None
    return None if readable else f"has no duration that can be read: {node.text!r}"


def _interruptible(node: Node) -> str | None:
    return None if node.text == "false" else "is supported as `false` alone: a newer pipeline cancels no older one"


def _action(node: Node) -> str | None:
    stops = node.text == "stop"
    return "has the value 'stop', which is not supported: no job stops an environment" if stops else None


def _paths(node: Node) -> str | None:
    variable = any("$" in (item.text or "") for item in (node, *node.items))
    return "takes no variable in the loopback GitLab; write the path" if variable else None


def _one_file(node: Node) -> str | None:
    several = len(node.items) > 1 or any(mark in (item.text or "") for item in (node, *node.items) for mark in "*{?[")
    return "takes one file in the loopback GitLab" if several else _paths(node)


def _patterns(node: Node) -> str | None:
    many = len(node.items) > _MOST_PATTERNS
    return f"has more than {_MOST_PATTERNS} patterns, which GitLab refuses" if many else None


def _rules(node: Node) -> str | None:
    texts = [item.text for item in node.items if item.text is not None and item.tag != _REFERENCE]
    return f"has the entry {texts[0]!r}, which is no rule" if texts else None


def _environment(node: Node) -> str | None:
    valid = node.text is None or _ENVIRONMENT_NAME.fullmatch(node.text)
    letters = "letters, digits, spaces, and - _ / . $ { }"
    return None if valid else f"has the value {node.text!r}; the name of an environment has only {letters}"


def _tier(node: Node) -> str | None:
    return None if node.text in _TIERS else f"has the value {node.text!r}, which is none of {', '.join(_TIERS)}"


def _image(node: Node) -> str | None:
    named = node.text is not None or node.tag == _REFERENCE or any(key.text == "name" for key, _ in node.pairs)
    return None if named else "needs a `name`"


def _needs(node: Node) -> str | None:
    nameless = any(
        item.pairs and not any(key.text in {"job", "pipeline"} or key.tag == MERGE for key, _ in item.pairs)
        for item in node.items
    )
    return "has an entry without `job`" if nameless else None


def _variable(node: Node) -> str | None:
    return "is a list; a variable is a text" if node.items else None


def _trigger(node: Node) -> str | None:
    """Accept one form: a child pipeline from a file of the default branch, for which the job waits."""
    given = {key.text: value for key, value in node.pairs}
    include = given.get("include")
    entries = [include, *include.items] if include else []
    files = [{key.text: value.text for key, value in entry.pairs} for entry in entries if entry.pairs]
    plain = len(files) == 1 and files[0].keys() == {"project", "file"} and files[0]["project"] == _CHILD
    named = plain and bool(files[0]["file"]) and "$" not in (files[0]["file"] or "")
    strategy = given.get("strategy")
    if named and given.keys() == {"include", "strategy"} and strategy is not None and strategy.text == "depend":
        return None
    return (
        "is supported by the loopback GitLab in one form: `include` with one `file` of `project: $CI_PROJECT_PATH`, "
        "and `strategy: depend`"
    )


def _included(node: Node) -> str | None:
    names = [item.text for item in (node, *node.items) if item.text is not None]
    if any("://" in name for name in names):
        return "takes files of this project alone in the loopback GitLab"
    if any(mark in name for name in names for mark in "*$?["):
        return "takes the plain name of a file in the loopback GitLab, without wildcards and variables"
    return None


# Where the value of a keyword decides whether it is honoured; those of a job hold for the defaults too.
_VALUES: Mapping[str, Callable[[Node], str | None]] = {
    "job.when": _when,
    "job.rules.when": _when,
    "job.timeout": _duration,
    "job.artifacts.expire_in": _duration,
    "job.interruptible": _interruptible,
    "job.environment.action": _action,
    "job.artifacts.paths": _paths,
    "job.artifacts.exclude": _paths,
    "job.artifacts.reports.junit": _one_file,
    "job.artifacts.reports.dotenv": _one_file,
    "job.rules": _rules,
    "workflow.rules": _rules,
    "job.rules.changes": _patterns,
    "job.rules.changes.paths": _patterns,
    "job.rules.exists": _patterns,
    "job.rules.exists.paths": _patterns,
    "job.environment": _environment,
    "job.environment.name": _environment,
    "job.environment.deployment_tier": _tier,
    "job.image": _image,
    "job.needs": _needs,
    "job.trigger": _trigger,
    "variables.*": _variable,
    "job.variables.*": _variable,
    "include": _included,
    "include.local": _included,
}
