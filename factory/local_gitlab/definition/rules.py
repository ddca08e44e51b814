"""Decides by its ``rules`` whether and how a job runs in a pipeline (docs: Specify when jobs run with rules)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.local_gitlab.definition import conditions
from factory.local_gitlab.definition.variables import substitute


@dataclass(frozen=True)
class Files:
    """What rules ask of the code: the paths that changed, ``None`` if GitLab takes every path as changed, and all."""

    changed: Callable[[], Sequence[str] | None]
    existing: Callable[[], Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """How a job runs; ``needs`` of ``None`` are those of the job."""

    when: str
    allow_failure: Any
    variables: Mapping[str, Any]
    needs: Sequence[Any] | None = None


def decide(job: Mapping[str, Any], variables: Mapping[str, str], code: Files, *, usual: bool) -> Outcome | None:
    """Return how a job runs, or ``None`` if it is not part of the pipeline.

    ``variables`` are those that rules see; ``usual`` says whether a job without rules is part of the pipeline. Raises
    ``InvalidInput`` for an expression that GitLab would refuse.
    """
    when, allowed = str(job.get("when", "on_success")), job.get("allow_failure")
    found = job.get("rules")
    if found is None:
        # docs: when: manual. Without rules a manual job does not block the pipeline.
        optional = when == "manual" if allowed is None else allowed
        return Outcome(when, optional, {}) if usual and when != "never" else None
    for rule in _flat(found):
        if not _matches(rule, variables, code):
            continue
        when = str(rule.get("when", when))
        if when == "never":
            return None
        usually = False if allowed is None else allowed
        return Outcome(when, rule.get("allow_failure", usually), rule.get("variables") or {}, rule.get("needs"))
    return None


def _flat(found: Any) -> list[Mapping[str, Any]]:
    if isinstance(found, list):
        return [rule for item in found for rule in _flat(item)]
    return [found] if isinstance(found, Mapping) else []


def _matches(rule: Mapping[str, Any], variables: Mapping[str, str], code: Files) -> bool:
    condition = rule.get("if")
    if condition is not None and not conditions.evaluate(str(condition), variables):
        return False
    if (patterns := _patterns(rule.get("changes"), variables)) is not None:
        changed = code.changed()
        if changed is not None and not _any(patterns, changed):
            return False
    patterns = _patterns(rule.get("exists"), variables)
    return patterns is None or _any(patterns, code.existing())


def _patterns(value: Any, variables: Mapping[str, str]) -> list[str] | None:
    listed = value.get("paths") if isinstance(value, Mapping) else value
    if listed is None:
        return None
    found = listed if isinstance(listed, list) else [listed]
    return [substitute(str(item), variables).removeprefix("./") for item in found]


def _any(patterns: Sequence[str], paths: Sequence[str]) -> bool:
    matched = re.compile("|".join(f"(?:{glob(pattern)})" for pattern in patterns) or r"(?!)")
    return any(matched.fullmatch(path) for path in paths)


def glob(pattern: str) -> str:
    """Return a regular expression for a pattern, as Ruby's ``File.fnmatch`` reads it with the flags that GitLab sets.

    ``*`` and ``?`` match no slash, ``**/`` any folders, ``{a,b}`` either; names may begin with a dot.
    """
    found, position, open_braces = "", 0, 0
    while position < len(pattern):
        rest, sign = pattern[position:], pattern[position]
        position += 1
        if rest.startswith("**/") and (position == 1 or pattern[position - 2] == "/"):
            found, position = found + "(?:[^/]+/)*", position + 2
        elif sign == "*":
            found += "[^/]*"
        elif sign == "?":
            found += "[^/]"
        elif sign == "[" and (group := re.match(r"\[[!^]?\]?[^]/]*\]", rest)):
            inner = re.sub(r"([\\&~|\[])", r"\\\1", group[0][1:-1].lstrip("!^"))
            found, position = found + f"[{'^' if group[0][1] in '!^' else ''}{inner}]", position + len(group[0]) - 1
        elif sign == "{" and "}" in rest:
            found, open_braces = found + "(?:", open_braces + 1
        elif sign == "}" and open_braces:
            found, open_braces = found + ")", open_braces - 1
        elif sign == "," and open_braces:
            found += "|"
        elif sign == "\\" and position < len(pattern):
            found, position = found + re.escape(pattern[position]), position + 1
        else:
            found += re.escape(sign)
    return found + ")" * open_braces
