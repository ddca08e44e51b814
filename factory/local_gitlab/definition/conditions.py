"""Evaluates the ``if`` of rules, and ``workflow:rules``, as GitLab does (docs: CI/CD variable expressions)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.errors import InvalidInput

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>==|!=|=~|!~|&&|\|\||\(|\))|(?P<var>\$\{?[A-Za-z_][A-Za-z0-9_]*\}?)|(?P<null>null\b)"""
    r"""|"(?P<dq>[^"]*)"|'(?P<sq>[^']*)'|(?P<regex>/(?:\\.|[^/\\])+/[A-Za-z]*))"""
)
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_DEEPEST = 50


@dataclass(frozen=True)
class Regex:
    """A compiled pattern; expressions write it between slashes."""

    pattern: "re.Pattern[str]"


def admitted(rules: Sequence[Mapping[str, Any]] | None, variables: Mapping[str, str]) -> dict[str, str] | None:
    """Return the variables of the first matching rule, or ``None`` if ``workflow:rules`` exclude the pipeline.

    Without rules every pipeline is admitted. Raises ``InvalidInput`` for an expression that GitLab would refuse.
    """
    if rules is None:
        return {}
    if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
        raise InvalidInput("workflow:rules must be a list of mappings")
    for rule in rules:
        condition = rule.get("if")
        if condition is None or evaluate(str(condition), variables):
            values = rule.get("variables") or {}
            if not isinstance(values, Mapping):
                raise InvalidInput("workflow:rules:variables must be a mapping")
            texts = {str(key): str(value) for key, value in values.items()}
            return None if rule.get("when", "always") == "never" else texts
    return None


def evaluate(expression: str, variables: Mapping[str, str]) -> bool:
    """Return the result of an ``if`` expression; raises ``InvalidInput`` if its syntax is invalid."""
    parser = _Parser(_tokens(expression), variables, expression)
    value = parser.any_of()
    if parser.position != len(parser.tokens):
        raise InvalidInput(f"unexpected text in the rule {expression!r}")
    return _truth(value)


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    text = expression.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidInput(f"cannot read the rule {expression!r} at {text[position:]!r}")
        kind = str(match.lastgroup)
        found.append((kind, match.group(kind)))
        position = match.end()
    return found


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else value not in (None, "")


@dataclass
class _Parser:
    """Recursive descent parser; ``&&`` binds more tightly than ``||``."""

    tokens: list[tuple[str, str]]
    variables: Mapping[str, str]
    source: str
    position: int = 0
    depth: int = 0

    def any_of(self) -> Any:
        value = self._all_of()
        while self._take("||"):
            other = self._all_of()
            value = _truth(value) or _truth(other)
        return value

    def _all_of(self) -> Any:
        value = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            value = _truth(value) and _truth(other)
        return value

    def _comparison(self) -> Any:
        left = self._operand()
        for operator in ("==", "!=", "=~", "!~"):
            if self._take(operator):
                right = self._operand()
                return self._compare(left, operator, right)
        return left

    def _compare(self, left: Any, operator: str, right: Any) -> bool:
        if operator in {"==", "!="}:
            return (left == right) is (operator == "==")
        if isinstance(right, str):
            right = _regex(right, self.source)
        if not isinstance(right, Regex):
            return operator == "!~"
        found = left is not None and right.pattern.search(str(left)) is not None
        return found is (operator == "=~")

    def _operand(self) -> Any:
        if self._take("("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise InvalidInput(f"too many nested parentheses in the rule {self.source[:40]!r}")
            value = self.any_of()
            self.depth -= 1
            if not self._take(")"):
                raise InvalidInput(f"a parenthesis is not closed in the rule {self.source!r}")
            return value
        if self.position >= len(self.tokens) or self.tokens[self.position][0] == "op":
            raise InvalidInput(f"a value is missing in the rule {self.source!r}")
        kind, text = self.tokens[self.position]
        self.position += 1
        if kind == "var":
            return self.variables.get(text.strip("${}"))
        if kind == "regex":
            return _regex(text, self.source)
        return None if kind == "null" else text

    def _take(self, operator: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position] == ("op", operator):
            self.position += 1
            return True
        return False


def _regex(text: str, source: str) -> Regex:
    match = re.fullmatch(r"/(.*)/([imsU]*)", text, re.DOTALL)
    if match is None:
        raise InvalidInput(f"{text!r} is not a pattern between slashes in the rule {source!r}")
    flags = re.NOFLAG
    for letter in match.group(2):
        flags |= _FLAGS.get(letter, re.NOFLAG)
    try:
        return Regex(re.compile(match.group(1), flags))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidInput(f"bad pattern {text!r} in the rule {source!r}: {error}") from error
