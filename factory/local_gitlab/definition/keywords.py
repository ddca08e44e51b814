"""Lists every keyword of a pipeline definition, and refuses those that the loopback GitLab does not honour.

The table has the keywords of GitLab's CI schema (docs: CI/CD YAML syntax reference). A keyword that is ignored would
make a pipeline green that is not on GitLab, so what is not right here is refused, with its line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.local_gitlab.definition import conditions, durations
from factory.system.strict_yaml import MERGE, Node

RIGHT = "as GitLab"
# A keyword that has no effect here has none on a runner such as this one either, or only on GitLab's pages.
_NO_CONTAINER = "no effect: the runner is a shell, it starts no container"
_NO_CACHE = "no effect: a job never finds a cache, as on a new runner"
_PAGE_ONLY = "no effect: only GitLab's pages show it"
_ANY = "*"
REFUSED = "refused: "
_REFERENCE = "!reference"

_IF, _WHEN = {"if": RIGHT}, {"when": RIGHT}
_NAMED = {"variables": RIGHT, "variables.*": RIGHT}
_VARIABLES = {**_NAMED, "variables.*.value": RIGHT, "variables.*.expand": RIGHT}
_CHANGES = {"changes": RIGHT, "changes.paths": RIGHT, "changes.compare_to": f"{REFUSED}compares with the usual commit"}
_EXISTS = {
    "exists": RIGHT,
    "exists.paths": RIGHT,
    "exists.project": f"{REFUSED}other projects are not read",
    "exists.ref": f"{REFUSED}other refs are not read",
}
_NEEDS = {"needs": RIGHT, "needs.job": RIGHT, "needs.artifacts": RIGHT, "needs.optional": RIGHT}
_ALLOWED = {"allow_failure": RIGHT, "allow_failure.exit_codes": RIGHT}
# Reports that GitLab reads for its pages alone.
_REPORTS = dict.fromkeys(
    (
        "artifacts.reports.accessibility",
        "artifacts.reports.annotations",
        "artifacts.reports.browser_performance",
        "artifacts.reports.codequality",
        "artifacts.reports.container_scanning",
        "artifacts.reports.coverage_report",
        "artifacts.reports.coverage_report.coverage_format",
        "artifacts.reports.coverage_report.path",
        "artifacts.reports.cyclonedx",
        "artifacts.reports.dast",
        "artifacts.reports.dependency_scanning",
        "artifacts.reports.license_management",
        "artifacts.reports.license_scanning",
        "artifacts.reports.load_performance",
        "artifacts.reports.lsif",
        "artifacts.reports.metrics",
        "artifacts.reports.repository_xray",
        "artifacts.reports.requirements",
        "artifacts.reports.sast",
        "artifacts.reports.secret_detection",
        "artifacts.reports.terraform",
    ),
    _PAGE_ONLY,
)


def _below(prefix: str, rows: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{name}": verdict for name, verdict in rows.items()}


_JOB: Mapping[str, str] = {
    "script": RIGHT,
    "before_script": RIGHT,
    "after_script": RIGHT,
    "stage": RIGHT,
    "extends": RIGHT,
    "tags": RIGHT,
    "timeout": RIGHT,
    "resource_group": RIGHT,
    "dependencies": RIGHT,
    "inherit": RIGHT,
    "inherit.default": RIGHT,
    "inherit.variables": RIGHT,
    **_VARIABLES,
    **_NEEDS,
    "needs.project": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.ref": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.pipeline": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.parallel": f"{REFUSED}no job is multiplied",
    **_WHEN,
    "start_in": f"{REFUSED}no job is delayed",
    "manual_confirmation": _PAGE_ONLY,
    **_ALLOWED,
    "rules": RIGHT,
    **_below("rules", {**_IF, **_CHANGES, **_EXISTS, **_WHEN, **_ALLOWED, **_NAMED, **_NEEDS}),
    "rules.start_in": f"{REFUSED}no job is delayed",
    "rules.interruptible": f"{REFUSED}a newer pipeline cancels no older one",
    "interruptible": RIGHT,
    "only": f"{REFUSED}write `rules`",
    "except": f"{REFUSED}write `rules`",
    "retry": RIGHT,
    "retry.max": RIGHT,
    "retry.when": RIGHT,
    "retry.exit_codes": f"{REFUSED}a job is retried by `retry:when`",
    "id_tokens": RIGHT,
    "id_tokens.*": RIGHT,
    "id_tokens.*.aud": RIGHT,
    "environment": RIGHT,
    "environment.name": RIGHT,
    "environment.url": RIGHT,
    "environment.action": RIGHT,
    "environment.deployment_tier": RIGHT,
    "environment.on_stop": f"{REFUSED}no job stops an environment",
    "environment.auto_stop_in": f"{REFUSED}no environment stops by itself",
    "environment.kubernetes": f"{REFUSED}there is no cluster",
    "artifacts": RIGHT,
    "artifacts.paths": RIGHT,
    "artifacts.exclude": RIGHT,
    "artifacts.when": RIGHT,
    "artifacts.access": RIGHT,
    "artifacts.expire_in": "no effect: artifacts are kept",
    "artifacts.expose_as": _PAGE_ONLY,
    "artifacts.untracked": f"{REFUSED}name the files in `artifacts:paths`",
    "artifacts.name": f"{REFUSED}the archive is artifacts.zip",
    "artifacts.reports": RIGHT,
    "artifacts.reports.dotenv": RIGHT,
    "artifacts.reports.junit": RIGHT,
    **_REPORTS,
    "image": _NO_CONTAINER,
    "image.name": _NO_CONTAINER,
    "image.entrypoint": f"{REFUSED}no container starts",
    "image.docker": f"{REFUSED}no container starts",
    "image.kubernetes": f"{REFUSED}no container starts",
    "image.pull_policy": f"{REFUSED}no container starts",
    "services": f"{REFUSED}no container starts beside a job",
    "cache": _NO_CACHE,
    "coverage": f"{REFUSED}no coverage is read from a log",
    "hooks": f"{REFUSED}no script runs before the checkout",
    "identity": f"{REFUSED}there is no cloud to log in to; write `id_tokens`",
    "inputs": f"{REFUSED}write `variables`",
    "pages": f"{REFUSED}nothing is published",
    "publish": f"{REFUSED}nothing is published",
    "parallel": f"{REFUSED}write a job for each",
    "release": f"{REFUSED}write a `script` that calls the Releases API",
    "run": f"{REFUSED}write `script`",
    "secrets": f"{REFUSED}write `id_tokens`, and fetch the secret in `script`",
    "trigger": f"{REFUSED}no other pipeline is started",
}
_DEFAULT = {
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
}
_GLOBAL: Mapping[str, str] = {
    "$schema": "no effect: only editors read it",
    "!reference": f"{REFUSED}it stands for a value",
    "stages": RIGHT,
    **_VARIABLES,
    "variables.*.description": _PAGE_ONLY,
    "variables.*.options": f"{REFUSED}the value is not checked",
    "workflow": RIGHT,
    "workflow.rules": RIGHT,
    **_below("workflow.rules", {**_IF, **_WHEN, **_NAMED}),
    "workflow.rules.changes": f"{REFUSED}write it in the `rules` of the jobs",
    "workflow.rules.exists": f"{REFUSED}write it in the `rules` of the jobs",
    "workflow.rules.auto_cancel": f"{REFUSED}a newer pipeline cancels no older one",
    "workflow.name": f"{REFUSED}a pipeline has no name",
    "workflow.auto_cancel": f"{REFUSED}a newer pipeline cancels no older one",
    "include": RIGHT,
    "include.local": RIGHT,
    "include.rules": RIGHT,
    **_below("include.rules", {**_IF, **_WHEN}),
    "include.rules.changes": f"{REFUSED}an include depends on variables alone",
    "include.rules.exists": f"{REFUSED}an include depends on variables alone",
    "include.project": f"{REFUSED}only files of this project are included",
    "include.ref": f"{REFUSED}only files of this project are included",
    "include.file": f"{REFUSED}only files of this project are included",
    "include.remote": f"{REFUSED}only files of this project are included",
    "include.integrity": f"{REFUSED}only files of this project are included",
    "include.template": f"{REFUSED}only files of this project are included",
    "include.component": f"{REFUSED}only files of this project are included",
    "include.inputs": f"{REFUSED}write `variables`",
    "spec": f"{REFUSED}write `variables`",
    "pages": f"{REFUSED}a job of this name publishes a site on GitLab, and here nothing",
    "default": RIGHT,
    "default.!reference": f"{REFUSED}write the values",
    **{f"default.{name}": verdict for name, verdict in _JOB.items() if name.split(".")[0] in _DEFAULT},
    **{
        name: verdict
        for name, verdict in _JOB.items()
        if name.split(".")[0] in {"image", "services", "cache", "before_script", "after_script"}
    },
}
TABLE: Mapping[str, str] = {**_GLOBAL, **_below("job", _JOB)}

_WHENS = {"on_success", "on_failure", "always", "manual", "never"}
_IN_MAIN_FILE_ALONE = {"workflow", "default"}


@dataclass(frozen=True)
class Problem:
    """A keyword that is not honoured, where it stands, and what to do instead."""

    keyword: str
    line: int
    words: str

    def text(self, source: str) -> str:
        """Return the problem as one line, with the name of its file."""
        return f"{source}:{self.line}: `{self.keyword}` {self.words}"


def verdict(path: str) -> str | None:
    """Return what becomes of a keyword, by its path (``job.rules.if``); ``None`` if GitLab has no such keyword."""
    if path in TABLE:
        return TABLE[path]
    above = path.rpartition(".")[0]
    found = verdict(above) if above else None
    return None if found == RIGHT else found


def check(document: Node | None, *, included: bool = False) -> list[Problem]:
    """Return the keywords of a definition's file that are not honoured; ``included`` files have no defaults. Pure."""
    walk = _Walk()
    for key, value in document.pairs if document else ():
        name = key.text or ""
        if included and name in _IN_MAIN_FILE_ALONE:
            walk.found.append(Problem(name, key.line, "is read from the main file only; write it there"))
        elif name in _GLOBAL or name.startswith("!"):
            walk.keyword(name, name, key.line, value)
        else:
            walk.job(name, key.line, value)
    return walk.found


def refuse(document: Node | None, source: str, *, included: bool = False) -> None:
    """Raise ``InvalidInput`` with every keyword of a file that is not honoured, one on a line."""
    if problems := check(document, included=included):
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
            words = _value(path, node)
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
        if path not in TABLE and f"{above}.{_ANY}" in TABLE:
            path = f"{above}.{_ANY}"
        self.keyword(path, f"{shown}:{key.text}".lstrip(":"), key.line, value)

    def _inner(self, path: str, shown: str, node: Node) -> None:
        if (path, id(node)) in self._seen:
            return
        self._seen.add((path, id(node)))
        for key, value in node.pairs:
            self._pair(path, shown, key, value)
        for item in node.items:
            self._inner(path, shown, item)


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
    variable = any("$" in (item.text or "") for item in node.items)
    return "takes no variable in the loopback GitLab; write the path" if variable else None


def _one_file(node: Node) -> str | None:
    several = len(node.items) > 1 or any("*" in (item.text or "") for item in (node, *node.items))
    return "takes one file in the loopback GitLab" if several else None


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
    "include": _included,
    "include.local": _included,
}
