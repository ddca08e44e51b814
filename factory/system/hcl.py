"""Parses HCL, Terraform's language; no other module does."""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import InvalidInput

_MARK = "__is_block__"
_HEREDOC = re.compile(r"<<-?\s*\w")
_TOKEN = re.compile(
    r"(?P<blank>\s+|\#[^\n]*|//[^\n]*|/\*(?:(?!\*/).)*\*/)"
    r'|(?P<text>"(?:[^"\\$%\n]|\\.|[$%](?!\{)|[$%]\{(?:[^{}"\n]|"(?:[^"\\\n]|\\.)*"|\{[^{}\n]*\})*\})*")'
    r"|(?P<word>[\w.-]+)|(?P<sign>.)",
    re.DOTALL,
)
# Stacks are screened in parallel, but the parser's state is shared: concurrent parses would mix their texts.
_ONE_AT_A_TIME = threading.Lock()
_OPENING, _CLOSING = frozenset("{[("), frozenset("}])")


@dataclass(frozen=True)
class Block:
    """One top-level block of a file: its kind, its labels, and its body as plain values.

    Nested blocks are lists of bodies; an expression that is not a plain value is a text such as ``${var.x}``.
    """

    kind: str
    labels: tuple[str, ...]
    body: Mapping[str, Any]


def parse(text: str) -> tuple[Block, ...]:
    """Return the blocks of a file in the order of their kinds; raises ``InvalidInput`` if the text cannot be parsed.

    The parser accepts less than Terraform does: for example, no comment between a function's name and its parenthesis.
    """
    _refuse_heredocs(text)
    import hcl2  # noqa: PLC0415 - a tenth of a second, and most commands read no Terraform
    from lark.exceptions import LarkError  # noqa: PLC0415 - comes with hcl2

    try:
        with _ONE_AT_A_TIME:
            value = hcl2.loads(text, serialization_options=hcl2.SerializationOptions(with_comments=False))
    except (LarkError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"not readable as HCL: {type(error).__name__}") from error
    blocks = tuple(block for kind, found in value.items() for block in _blocks(kind, found))
    if sorted((block.kind, *block.labels) for block in blocks) != sorted(_headers(text)):
        raise InvalidInput("not readable as HCL: the parser and the tokens differ about the blocks")
    return blocks


def _headers(text: str) -> Iterator[tuple[str, ...]]:
    """Yield kind and labels of every top-level block, found independently of the parser: by tokens."""
    depth, words = 0, list[str]()
    for token in _TOKEN.finditer(text):
        word = token.group()
        if token.lastgroup == "blank":
            continue
        if word in _OPENING:
            if depth == 0:
                yield tuple(words)
                words = []
            depth += 1
        elif word in _CLOSING:
            depth -= 1
        elif depth == 0:
            words.append(word.strip('"'))


def _refuse_heredocs(text: str) -> None:
    # Parsers differ about the end of a heredoc, so one parser may read as code what another reads as text.
    if _HEREDOC.search(text):
        raise InvalidInput("not readable as HCL: heredocs are not supported, because parsers differ about their end")


def _blocks(kind: str, found: Any) -> Iterator[Block]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        yield Block(_plain(kind), (), {})
        return
    for item in found:
        yield from _labelled(_plain(kind), (), item)


def _labelled(kind: str, labels: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[Block]:
    if _MARK in value:
        yield Block(kind, labels, _plain(value))
        return
    for label, inner in value.items():
        yield from _labelled(kind, (*labels, _plain(label)), inner if isinstance(inner, dict) else {_MARK: True})


def _plain(value: Any) -> Any:
    """Return a value without the parser's marks and without the quotes of plain strings."""
    if isinstance(value, dict):
        found = {_plain(key): _plain(item) for key, item in value.items() if key != _MARK}
        if len(found) != len(value) - (_MARK in value):
            raise InvalidInput("not readable as HCL: duplicate key")
        return found
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value
