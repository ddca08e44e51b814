"""The door to markdown-it: which lines of a page are code, and which are HTML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

# A page without these has neither code blocks nor HTML, and needs no parser (CommonMark 4.4, 4.5, 4.6).
_MAY_HOLD_BLOCKS = re.compile(r"```|~~~|<|^(?: {4}| {0,3}\t)", re.MULTILINE)
_COMMENT = "<!--"


@dataclass(frozen=True)
class Blocks:
    """Indexes of lines: code with its fences, HTML blocks, and where a list item holds HTML that the page hides."""

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
    for token in MarkdownIt("commonmark").parse(text):
        if token.map is None:
            continue
        first, end = (start + line for line in token.map)
        if token.type in {"fence", "code_block"}:
            code.update(range(first, end))
        elif token.type == "html_block":
            html.update(range(first, end))
            if token.level:
                in_item.add(first)
        elif any(part.type == "html_inline" and part.content.startswith(_COMMENT) for part in token.children or ()):
            in_item.add(first + token.content.count("\n", 0, token.content.index(_COMMENT)))
    return Blocks(frozenset(code), frozenset(html), frozenset(in_item))
