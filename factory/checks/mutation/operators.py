"""Mutates a source: each mutant has one small change of meaning that tests should find."""

import ast
import itertools
import re
from collections.abc import Iterator, Sequence

from factory.checks.mutation import source as sources
from factory.checks.mutation.source import Edit, Function, Source
from factory.model.challenge import Defect

_COMPARE = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: (r"not\s+in", "in"),
    ast.Lt: ("<", ">="), ast.LtE: ("<=", ">"), ast.Gt: (">", "<="), ast.GtE: (">=", "<"),
}  # fmt: skip
_BOUNDARY = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")}
_BOOLEAN = {ast.And: (r"\band\b", "or"), ast.Or: (r"\bor\b", "and")}
_ARITHMETIC = {
    ast.Add: (r"\+", "-"), ast.Sub: ("-", "+"), ast.Mult: (r"\*", "+"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "*"), ast.Pow: (r"\*\*", "*"),
}  # fmt: skip
_STATUS = {"OK": "ACCEPTED", "NOT_FOUND": "BAD_REQUEST", "BAD_REQUEST": "CONFLICT", "CREATED": "OK"}
_DEFAULTS = {
    "str": '""', "bytes": 'b""', "int": "0", "float": "0.0", "bool": "False",
    "list": "[]", "dict": "{}", "tuple": "()", "set": "set()", "Iterable": "[]", "Sequence": "[]", "Mapping": "{}",
}  # fmt: skip
_TYPE_NAMES = frozenset({"Literal", "Annotated", "Callable", "Optional", "Union"})
_TYPE_CALLS = frozenset({"TypeVar", "NewType", "ParamSpec", "cast"})
_OPENING = re.compile(rb"[a-zA-Z]*(?:\"\"\"|'''|\"|')")
_MARK = "XX"

Found = Iterator[Defect | None]


def mutations(path: str, source: str) -> tuple[Defect, ...]:
    """Return the mutants of a file, from top to bottom; each parses and differs in meaning from the file.

    Annotations, docstrings, ``__all__``, ``TYPE_CHECKING`` blocks and ``__main__`` guards are not mutated, because no
    test can detect such a change. Raises ``InvalidInput`` if the file is not Python.
    """
    read = sources.read(path, source)
    left_alone = {id(node) for node in _left_alone(read.tree)}
    nodes = [node for node in ast.walk(read.tree) if id(node) not in left_alone]
    makers = (_operators, _conditions, _constants, _statuses, _returns, _statements)
    defects = {defect.files: defect for make in makers for defect in make(read, nodes) if defect is not None}
    return tuple(sorted(defects.values(), key=lambda defect: (defect.line, defect.kind, defect.summary)))


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        for part in _blind_parts(node):
            yield from ast.walk(part)


def _blind_parts(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a node that no test can check, or that have no reliable position in the source."""
    parts: list[ast.AST] = []
    match node:
        case (
            ast.arg(annotation=ast.expr() as found)
            | ast.AnnAssign(annotation=found)
            | ast.FunctionDef(returns=ast.expr() as found)
            | ast.AsyncFunctionDef(returns=ast.expr() as found)
        ):
            parts = [found]
        # Before Python 3.12 the positions inside an f-string are unreliable.
        case ast.JoinedStr(values=values):
            parts = list(values)
        case ast.Expr(value=ast.Constant()):
            parts = [node]
        case ast.If(test=named) if _names(named) & {"TYPE_CHECKING", "__name__"}:
            parts = [node]
        case ast.Assign(targets=[named]) if "__all__" in _names(named):
            parts = [node]
        case ast.Subscript(value=named) if _names(named) & _TYPE_NAMES:
            parts = [node]
        case ast.Call(func=named) if _names(named) & _TYPE_CALLS:
            parts = [node]
    return parts


def _names(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def _operators(source: Source, nodes: Sequence[ast.AST]) -> Found:
    for node in nodes:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                operands = [left, *others]
                for index, op in enumerate(ops):
                    pair = operands[index], operands[index + 1]
                    yield _swap(source, "mutation.compare", [pair], _COMPARE.get(type(op)))
                    yield _swap(source, "mutation.boundary", [pair], _BOUNDARY.get(type(op)))
            case ast.BoolOp(op=op, values=values):
                yield _swap(source, "mutation.boolean", list(itertools.pairwise(values)), _BOOLEAN.get(type(op)))
            case ast.BinOp(op=op, left=left, right=right):
                yield _swap(source, "mutation.arithmetic", [(left, right)], _ARITHMETIC.get(type(op)))
            case ast.AugAssign(op=op, target=target, value=value):
                yield _swap(source, "mutation.arithmetic", [(target, value)], _ARITHMETIC.get(type(op)))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                start, kept = source.span(node)[0], source.span(operand)[0]
                head = source.text(start, kept).replace("not", "", 1).lstrip()
                yield source.defect("mutation.boolean", node.lineno, "`not` removed", (start, kept, head))


def _swap(
    source: Source, kind: str, pairs: Sequence[tuple[ast.expr, ast.expr]], change: tuple[str, str] | None
) -> Defect | None:
    if change is None:
        return None
    edits = []
    old = ""
    for left, right in pairs:
        gap = source.span(left)[1]
        found = re.search(change[0].encode(), source.data[gap : source.span(right)[0]])
        if found is None:
            return None
        old = found[0].decode()
        edits.append((gap + found.start(), gap + found.end(), change[1]))
    return source.defect(kind, pairs[0][0].lineno, f"`{old}` became `{change[1]}`", *edits)


def _conditions(source: Source, nodes: Sequence[ast.AST]) -> Found:
    for node in nodes:
        if not isinstance(node, ast.If | ast.While | ast.IfExp):
            continue
        start, end = source.span(node.test)
        shown = source.text(start, end)
        # `_operators` negates comparisons by their operator, and removes `not`.
        if not isinstance(node.test, ast.Compare | ast.UnaryOp):
            simple = isinstance(node.test, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
            text = f"not {shown}" if simple else f"not ({shown})"
            yield source.defect("mutation.negate", node.lineno, f"`{shown}` became `{text}`", (start, end, text))
        if isinstance(node, ast.If) and node.orelse:
            yield source.defect("mutation.branch", node.lineno, f"`if {shown}` is never taken", (start, end, "False"))


def _constants(source: Source, nodes: Sequence[ast.AST]) -> Found:
    defaults, keys = _defaults(nodes), _keys(nodes)
    for node in nodes:
        if not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        place = "default" if id(node) in defaults else "dict-key" if id(node) in keys else ""
        value = node.value if isinstance(node, ast.Constant) else ""
        start, end = source.span(node)
        shown = source.text(start, end)
        if isinstance(value, bool):
            yield _constant(source, f"mutation.{place or 'boolean'}", node, (start, end, str(not value)))
        elif isinstance(value, int):
            for other in (value + 1, value - 1):
                text = f"({other})" if other < 0 else str(other)
                yield _constant(source, f"mutation.{place or 'integer'}", node, (start, end, text))
        elif isinstance(value, str | bytes):
            opening = _OPENING.match(shown.encode())
            text = shown[: opening.end()] + _MARK + shown[opening.end() :] if opening else ""
            yield _constant(source, f"mutation.{place or 'string'}", node, (start, end, text))


def _constant(source: Source, kind: str, node: ast.expr, edit: Edit) -> Defect | None:
    return source.defect(kind, node.lineno, f"`{source.text(edit[0], edit[1])}` became `{edit[2]}`", edit)


def _defaults(nodes: Sequence[ast.AST]) -> set[int]:
    found: set[int] = set()
    for node in nodes:
        match node:
            case ast.arguments(defaults=plain, kw_defaults=named):
                found |= {id(item) for item in (*plain, *named) if item is not None}
            case ast.Call(func=ast.Attribute(attr="get" | "getenv" | "pop" | "setdefault"), args=[_, value]):
                found.add(id(value))
    return found


def _keys(nodes: Sequence[ast.AST]) -> set[int]:
    found = {id(key) for node in nodes if isinstance(node, ast.Dict) for key in node.keys}
    return found | {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}


def _statuses(source: Source, nodes: Sequence[ast.AST]) -> Found:
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=old):
                new = _STATUS.get(old, "INTERNAL_SERVER_ERROR")
                end = source.span(node)[1]
                edit = (end - len(old.encode()), end, new)
                yield source.defect("mutation.status", node.lineno, f"`{old}` became `{new}`", edit)


def _returns(source: Source, nodes: Sequence[ast.AST]) -> Found:
    for function in nodes:
        if not isinstance(function, Function):
            continue
        default = _DEFAULTS.get(ast.unparse(function.returns).split("[")[0]) if function.returns else None
        for node in ast.walk(function):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            start, end = source.span(node.value)
            for text in ("None", default):
                if text is not None:
                    summary = f"`return {source.text(start, end)}` became `return {text}`"
                    yield source.defect("mutation.return", node.lineno, summary, (start, end, text))


def _statements(source: Source, nodes: Sequence[ast.AST]) -> Found:
    known = {id(node) for node in nodes}
    for block in source.blocks():
        for node in block:
            if id(node) not in known:
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
                summary = f"`{source.text(*source.span(node))}` removed"
                yield source.defect("mutation.call", node.lineno, summary, source.removal(node, block))
            elif isinstance(node, ast.If) and not node.orelse:
                summary = f"`if {source.text(*source.span(node.test))}` and its branch removed"
                yield source.defect("mutation.branch", node.lineno, summary, source.removal(node, block))
