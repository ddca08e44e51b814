"""Seeds mistakes that agents make in tests to get rid of a failing test."""

import ast
from collections.abc import Iterator

from factory.checks.mutation import source as sources
from factory.checks.mutation.source import Function, Source
from factory.model.challenge import Defect

Found = Iterator[Defect | None]


def mistakes(source: Source) -> Found:
    """Yield the mistakes that can be seeded in one test file."""
    yield Defect("mistake.deleted-test-file", source.path, 1, "the file is deleted", ((source.path, None),))
    for node in source.functions():
        if node.name.startswith("test"):
            yield from _marks(source, node)
            yield from _body(source, node)
    for statement in ast.walk(source.tree):
        if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare):
            start, end = source.span(statement.test)
            kept = source.text(*source.span(statement.test.left))
            summary = f"`assert {source.text(start, end)}` became `assert {kept}`"
            yield source.defect("mistake.weakened-assertion", statement.lineno, summary, (start, end, kept))


def _marks(source: Source, node: Function) -> Found:
    first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
    start, end = source.lines(first, node.end_lineno or node.lineno)
    yield source.defect("mistake.deleted-test", node.lineno, f"`{node.name}` is deleted", (start, end, ""))
    if "import pytest" not in source.text(0, len(source.data)):
        return
    indent = " " * node.col_offset
    for kind, mark in (
        ("skipped-test", '@pytest.mark.skip(reason="flaky")'),
        ("expected-failure", '@pytest.mark.xfail(reason="flaky")'),
    ):
        summary = f"`{mark}` on `{node.name}`"
        yield source.defect(f"mistake.{kind}", node.lineno, summary, (start, start, f"{indent}{mark}\n"))
    for cited in node.decorator_list:
        if ast.unparse(cited).startswith("pytest.mark.spec("):
            lines = source.lines(cited.lineno, cited.end_lineno or cited.lineno)
            summary = f"`{node.name}` no longer cites its requirement"
            yield source.defect("mistake.uncited-test", node.lineno, summary, (*lines, ""))


def _body(source: Source, node: Function) -> Found:
    first = sources.inside(node)
    start, end = source.span(first)[0], source.span(node.body[-1])[1]
    summary = f"`{node.name}` asserts only True"
    yield source.defect("mistake.empty-test", node.lineno, summary, (start, end, "assert True"))
    summary = f"`{node.name}` returns before its first assertion"
    pad = " " * first.col_offset
    yield source.defect("mistake.early-return", node.lineno, summary, (start, start, f"return\n{pad}"))
