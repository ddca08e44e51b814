"""Reads tests from the sources without running them: their citations, assertions and skips."""

import ast
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from factory.checks import app_files
from factory.model.app_paths import FOLDERS, AppPaths
from factory.model.facts import CitedTest
from factory.system import process

_SKIPS = {"skip", "skipif", "xfail", "importorskip"}
_MARKS_ITSELF = {"applymarker", "add_marker"}
_EXACT = 2
_ASSERTS = {"raises", "warns", "approx", "fail"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def collect(folder: Path, apps: AppPaths = FOLDERS, *, env: Mapping[str, str]) -> tuple[CitedTest, ...]:
    """Return the tests of every app in a checkout; raises ``ToolFailed``."""
    found = app_files.present(folder, apps, env=env)
    return read({name: path.read_bytes() for name, path in found.items() if apps.is_test(name)})


def collect_at(
    folder: Path, commit: str, paths: list[str], *, env: Mapping[str, str], apps: AppPaths = FOLDERS
) -> tuple[CitedTest, ...]:
    """Return the tests in files at a commit; a file missing from the commit has none. Raises ``ToolFailed``."""
    found = {}
    for path in paths:
        if apps.is_test(path):
            shown = process.run(["git", "cat-file", "blob", f"{commit}:{path}"], cwd=folder, env=env, check=False)
            if shown.returncode == 0:
                found[path] = shown.stdout
    return read(found)


def read(sources: Mapping[str, bytes]) -> tuple[CitedTest, ...]:
    """Return the tests in ``sources`` (path to content); a source that is not Python has none."""
    found: list[CitedTest] = []
    for path, source in sources.items():
        try:
            found += _tests(path, ast.parse(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return tuple(found)


def _tests(path: str, tree: ast.Module) -> list[CitedTest]:
    shared = [mark for node in tree.body for mark in _module_marks(node)]
    return [
        _test(path, name, node, [*shared, *(mark for item in marks for mark in _marks(item))])
        for name, node, marks in _functions(tree)
    ]


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function, list[ast.expr]]]:
    for node in tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node.name, node, node.decorator_list
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name.startswith("test"):
                    yield f"{node.name}.{inner.name}", inner, [*node.decorator_list, *inner.decorator_list]


def _module_marks(node: ast.stmt) -> list[tuple[str, tuple[str, ...]]]:
    """Return the marks that a module gives to all its tests with ``pytestmark``."""
    if not isinstance(node, ast.Assign) or not any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    ):
        return []
    values = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return [mark for value in values for mark in _marks(value)]


def _marks(decorator: ast.expr) -> list[tuple[str, tuple[str, ...]]]:
    """Return name and string arguments of each ``pytest.mark.<name>(…)``, also inside ``pytest.param``."""
    found = []
    for node in ast.walk(decorator):
        call = node if isinstance(node, ast.Call) else None
        target = call.func if call else node
        if (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Attribute)
            and target.value.attr == "mark"
        ):
            texts = call.args if call else []
            found.append(
                (target.attr, tuple(a.value for a in texts if isinstance(a, ast.Constant) and isinstance(a.value, str)))
            )
    return found


def _test(path: str, name: str, node: Function, marks: list[tuple[str, tuple[str, ...]]]) -> CitedTest:
    cited = dict.fromkeys(text for mark, texts in marks if mark == "spec" for text in texts)
    reached = [inner for statement in _reached(node.body) for inner in _walk(statement)]
    calls = [_called(inner) for inner in reached]
    checks = [inner for inner in reached if isinstance(inner, ast.Assert) and _strength(inner.test)]
    strength = sum(_strength(inner.test) for inner in checks) + sum(_EXACT for name in calls if name in _ASSERTS)
    times = math.prod(_cases(decorator) for decorator in node.decorator_list)
    skipped = any(mark in _SKIPS for mark, _ in marks) or any(name in _SKIPS for name in calls)
    lines = tuple(sorted({inner.lineno for inner in checks}))
    return CitedTest(path, name, node.lineno, tuple(cited), strength * times, skipped, lines)


def _cases(decorator: ast.expr) -> int:
    """Return the number of literal parameters with which a decorator runs its test; 1 if it lists none."""
    call = decorator if isinstance(decorator, ast.Call) else None
    if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr != "parametrize":
        return 1
    values = call.args[1] if len(call.args) > 1 else None
    return len(values.elts) if isinstance(values, ast.List | ast.Tuple) else 1


def _reached(block: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a block up to and including the first that leaves it."""
    for index, statement in enumerate(block):
        if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
            return block[: index + 1]
    return block


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all nodes below it, without unreachable statements."""
    yield node
    for name, value in ast.iter_fields(node):
        items = value if isinstance(value, list) else [value]
        if items and all(isinstance(item, ast.stmt) for item in items):
            items = [] if name == "body" and _void(node) else _reached(items)
        for item in items:
            if isinstance(item, ast.AST):
                yield from _walk(item)


def _void(node: ast.AST) -> bool:
    """Return whether assertions in a block have no effect: it is never entered, or its errors are suppressed."""
    if isinstance(node, ast.If | ast.While):
        return isinstance(node.test, ast.Constant) and not node.test.value
    return isinstance(node, ast.With) and any("suppress" in ast.dump(item.context_expr) for item in node.items)


def _strength(test: ast.expr) -> int:
    """Return an assertion's strength: 2 if it compares for equality or identity, 0 if it is constant, else 1."""
    if not any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(test)):
        return 0
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return 1
    exact = any(
        isinstance(operator, ast.Eq | ast.Is)
        for node in ast.walk(test)
        if isinstance(node, ast.Compare)
        for operator in node.ops
    )
    return _EXACT if exact else 1


def _called(node: ast.AST) -> str:
    """Return the name of the called ``pytest`` function, ``skip`` for a call that adds a mark, else an empty text."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MARKS_ITSELF:
        return "skip"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return node.func.attr if node.func.value.id == "pytest" else ""
    return ""
