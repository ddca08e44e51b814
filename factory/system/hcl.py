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
# Code outside of texts, in the pieces that ``code`` tells apart.
_CODE = re.compile(
    r"(?P<comment>(?:\#|//)[^\n]*(?:\n|\Z)|/\*(?:(?!\*/).)*\*/)"
    r'|(?P<quote>")|(?P<other>[^"{}#/]+|[{}]|/(?![/*]))',
    re.DOTALL,
)
# A text up to its closing quote or the beginning of a template (HCL spec: Template Expressions).
_TEXT = re.compile(r'(?:[^"\\$%\n]|\\.|[$%](?![$%]*\{))*(?P<end>"|[$%]\{)')
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


def code(text: str) -> str:
    """Return the code of a file: comments as one space, texts as ``""`` with the code of their templates after it.

    Raises ``InvalidInput`` for a text, comment or template that does not end, and for an escaped template such as
    ``$${``: parsers differ about what follows it.
    """
    found: list[str] = []
    position, depths = 0, [0]  # of braces, for the file and each template around the position
    while position < len(text):
        match = _CODE.match(text, position)
        if match is None:
            raise InvalidInput("not readable as HCL: a comment or text does not end")
        position, piece = match.end(), match.group()
        if match["comment"]:
            found.append("\n" if piece.endswith("\n") else " ")
            continue
        template_ends = piece == "}" and depths[-1] == 0 and len(depths) > 1
        if match["quote"] or template_ends:
            found.append(" " if template_ends else '""')
            depths = depths[:-1] if template_ends else depths
            position, template_begins = _text_end(text, position)
            depths = [*depths, 0] if template_begins else depths
            continue
        found.append(piece)
        depths[-1] += piece.count("{") - piece.count("}")
    if len(depths) > 1:
        raise InvalidInput("not readable as HCL: a template does not end")
    return "".join(found)


def _text_end(text: str, position: int) -> tuple[int, bool]:
    """Return the place after a text that goes on at ``position``, and whether a template begins there."""
    match = _TEXT.match(text, position)
    if match is None:
        raise InvalidInput("not readable as HCL: a text does not end, or has an escaped template")
    return match.end(), match.group("end") != '"'


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
