"""The door to markdown-it: which lines of a page are code, and which are HTML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.utils import EnvType as Environment

# A page without these has no code blocks, HTML or link definitions, and needs no parser (CommonMark 4.4 to 4.7, 5.2).
_MAY_HOLD_BLOCKS = re.compile(r"```|~~~|<|^(?: {4}| {0,3}\t)|^[ \t]*[-*+][ \t]{5}|\]:", re.MULTILINE)
_COMMENT = "<!--"
# HTML below which a browser shows nothing until somebody asks for it, or never.
_FOLDED = re.compile(r"(?i)<details|\bhidden\b|display\s*:\s*none")


@dataclass(frozen=True)
class Blocks:
    """Indexes of lines: code with its fences, HTML blocks, and where the page hides text that an agent would read.

    That is a comment in a list item, folded HTML, and the title of a link definition.
    """

    code: frozenset[int] = frozenset()
    html: frozenset[int] = frozenset()
    in_item: frozenset[int] = frozenset()

    @cached_property
    def unread(self) -> frozenset[int]:
        """The lines that are no prose: code and HTML."""
        return self.code | self.html


def blocks(lines: Sequence[str], start: int) -> Blocks:
    """Return the blocks of the page that begins at the line with index ``start``, as CommonMark reads it."""
    text = "\n".join(lines[start:])
    if not _MAY_HOLD_BLOCKS.search(text):
        return Blocks()
    from markdown_it import MarkdownIt  # noqa: PLC0415 - it takes longer to load than most pages to be read

    code: set[int] = set()
    html: set[int] = set()
    in_item: set[int] = set()
    known: Environment = {}
    for token in MarkdownIt("commonmark").parse(text, known):
        if token.map is None:
            continue
        first, end = (start + line for line in token.map)
        if token.type in {"fence", "code_block"}:
            code.update(range(first, end))
        elif token.type == "html_block":
            html.update(range(first, end))
            if token.level or _FOLDED.search(token.content):
                in_item.add(first)
        else:
            hidden = [
                part.content for part in token.children or () if part.type == "html_inline" and _hides(part.content)
            ]
            in_item.update(first + token.content.count("\n", 0, token.content.index(text)) for text in hidden)
    for definition in [*known.get("references", {}).values(), *known.get("duplicate_refs", ())]:
        if definition["title"]:
            first, end = (start + line for line in definition["map"])
            in_item.add(first)
            html.update(range(first, end))
    return Blocks(frozenset(code), frozenset(html), frozenset(in_item))


def _hides(html: str) -> bool:
    return html.startswith(_COMMENT) or _FOLDED.search(html) is not None
