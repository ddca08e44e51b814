"""Edits Python sources to seed defects: an edit changes only the defect's bytes, and the result still parses."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from factory.errors import InvalidInput
from factory.model.challenge import Defect

_LINE_END = re.compile(rb"\r\n|\r|\n")

Edit = tuple[int, int, str]
"""The offsets of the replaced bytes (from, to), and the new text."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One parsed file; ``starts`` are the offsets of its lines in ``data``."""

    path: str
    data: bytes
    tree: ast.Module
    starts: tuple[int, ...]
    shape: str = field(repr=False)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the offsets in ``data`` at which a node begins and ends."""
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def text(self, start: int, end: int) -> str:
        """Return the text between two offsets."""
        return self.data[start:end].decode(errors="replace")

    def line(self, number: int) -> tuple[int, int]:
        """Return the offsets at which a line begins and ends, without its line end."""
        start = self.starts[number - 1]
        end = self.starts[number] if number < len(self.starts) else len(self.data)
        return start, start + len(self.data[start:end].rstrip(b"\r\n"))

    def lines(self, first: int, last: int) -> tuple[int, int]:
        """Return the offsets at which whole lines begin and end, with their line ends."""
        return self.starts[first - 1], self.starts[last] if last < len(self.starts) else len(self.data)

    def defect(self, kind: str, line: int, summary: str, *edits: Edit) -> Defect | None:
        """Return the defect that the edits create, or ``None`` if the result does not parse or is equivalent."""
        data = self.edited(*edits)
        try:
            shape = ast.dump(parse(data.decode()))
        except (SyntaxError, ValueError, RecursionError):
            return None
        return None if shape == self.shape else Defect(kind, self.path, line, summary, ((self.path, data),))

    def remark(self, kind: str, line: int, comment: str) -> Defect:
        """Return a defect that adds a comment at the end of a line."""
        end = self.line(line)[1]
        data = self.edited((end, end, f"  # {comment}"))
        return Defect(kind, self.path, line, f"`# {comment}` added", ((self.path, data),))

    def edited(self, *edits: Edit) -> bytes:
        """Return the file with the edits applied."""
        data = self.data
        for start, end, text in sorted(edits, reverse=True):
            data = data[:start] + text.encode() + data[end:]
        return data

    def functions(self) -> tuple[Function, ...]:
        """Return the functions and methods with a body on separate lines, from top to bottom."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, Function)]
        return tuple(sorted((node for node in found if node.body[0].lineno > node.lineno), key=lambda n: n.lineno))

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """Yield every list of statements: bodies, else and finally branches."""
        for node in ast.walk(self.tree):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    yield block

    def removal(self, node: ast.stmt, block: list[ast.stmt]) -> Edit:
        """Return the edit that removes a statement, with its lines if they contain nothing else."""
        start, end = self.span(node)
        first, last = self.lines(node.lineno, node.end_lineno or node.lineno)
        alone = not self.data[first:start].strip() and not self.data[end:last].split(b"#")[0].strip()
        return (first, last, "") if alone and len(block) > 1 else (start, end, "pass")

    def after_imports(self) -> int:
        """Return the offset of the line below the last top-level import, else below the docstring."""
        places = [node.end_lineno or 0 for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        head = self.tree.body[:1] if ast.get_docstring(self.tree) is not None else []
        last = max(places, default=head[0].end_lineno or 0 if head else 0)
        return self.lines(1, last)[1] if last else 0

    def imports(self, name: str) -> Edit:
        """Return the edit that adds an import of a module, below the future imports and the docstring."""
        plain = [node for node in self.tree.body if isinstance(node, ast.Import)]
        before = [node for node in plain if node.names[0].name < name]
        place = self.lines(1, before[-1].end_lineno or 1)[1] if before else None
        if place is None:
            place = self.starts[plain[0].lineno - 1] if plain else self.after_imports()
        return place, place, f"import {name}\n"


def read(path: str, text: str) -> Source:
    """Parse a file; raises ``InvalidInput`` if it is not Python."""
    try:
        data = text.encode()
        tree = parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not valid Python: {error}") from error
    starts = (0, *(match.end() for match in _LINE_END.finditer(data)))
    return Source(path, data, tree, starts, ast.dump(tree))


def parse(text: str) -> ast.Module:
    """Return the syntax tree without showing the parser's warnings; raises ``SyntaxError``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def inside(node: Function) -> ast.stmt:
    """Return the first statement of a function after its docstring, or the docstring if the function has only that."""
    has = ast.get_docstring(node, clean=False) is not None and len(node.body) > 1
    return node.body[1] if has else node.body[0]
