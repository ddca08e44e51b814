"""Seeds mistakes that agents make in an app's code."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from factory.checks.mutation import source as sources
from factory.checks.mutation.source import Function, Source
from factory.model.challenge import Defect

# Each text is built from parts, so that this file contains nothing that looks like a secret.
_SECRETS = {
    "a GitLab token": ("GITLAB", "glp" + "at-" + "Qx7" * 7),
    "an AWS key": ("ACCESS", "AK" + "IA" + "Q7RZ" * 4),
    "a GitHub token": ("GITHUB", "gh" + "p_" + "b3Kd" * 9),
    "a private key": ("SIGNING", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    "a password": ("PASSWORD", "hunter2" * 3),
}
_DANGEROUS = {
    "`eval` of text": ("", 'eval("1 + 1")'),
    "`exec` of text": ("", 'exec("pass")'),
    "a shell command": ("subprocess", 'subprocess.run("true", shell=True, check=False)'),
    "a command by `os.system`": ("os", 'os.system("true")'),
}
_HANDLERS = {"swallowed-error": "except Exception:", "bare-except": "except:"}

Found = Iterator[Defect | None]


def mistakes(source: Source, tests: Sequence[Source]) -> Found:
    """Yield the mistakes that can be seeded in one source; some depend on what the tests expect."""
    for node in source.functions():
        yield from _swallowed(source, node)
        yield from _widened(source, node)
    yield from _defaults(source)
    yield from _responses(source)
    yield from _hard_coded(source, tests)
    yield from _remarks(source)
    yield from _markers(source)


def once(source: Source) -> Found:
    """Yield the mistakes that are seeded once per app, because their place does not matter."""
    place = source.after_imports()
    line = source.text(0, place).count("\n") + 1
    for what, (name, value) in _SECRETS.items():
        text = f'\n{name} = "{value}"\n'
        yield source.defect("mistake.leaked-secret", line, f"{what} in the source", (place, place, text))
    function = next(iter(source.functions()), None)
    if function is not None:
        first = sources.inside(function)
        start, pad = source.span(first)[0], " " * first.col_offset
        for what, (module, text) in _DANGEROUS.items():
            edits = [(start, start, f"{text}\n{pad}")]
            if module and f"import {module}\n" not in source.text(0, place):
                edits.append(source.imports(module))
            yield source.defect("mistake.dangerous-call", first.lineno, f"{what} in `{function.name}`", *edits)
        edit = (start, start, f'print("here")\n{pad}')
        yield source.defect("mistake.debugging-left", first.lineno, f"a print in `{function.name}`", edit)
    yield source.defect("mistake.unused-import", line, "`import base64`, unused", source.imports("base64"))
    text = "\nimport requests\n\nFAILURES = (requests.RequestException,)\n"
    summary = "`import requests`, which the app does not declare"
    yield source.defect("mistake.undeclared-dependency", line, summary, (place, place, text))
    end = len(source.data)
    text = '\n\ndef normalised(value: str) -> str:\n    """Return a value in lower case."""\n    return value.lower()\n'
    yield source.defect("mistake.dead-function", len(source.starts), "a function that nothing calls", (end, end, text))


def _swallowed(source: Source, node: Function) -> Found:
    first = sources.inside(node)
    start, end = source.lines(first.lineno, node.body[-1].end_lineno or first.lineno)
    pad = " " * first.col_offset
    body = "".join(
        f"    {line}" if line.strip() else line for line in source.text(start, end).splitlines(keepends=True)
    )
    for kind, handler in _HANDLERS.items():
        text = f"{pad}try:\n{body.rstrip()}\n{pad}{handler}\n{pad}    pass\n"
        yield source.defect(
            f"mistake.{kind}", node.lineno, f"`{handler} pass` around `{node.name}`", (start, end, text)
        )


def _widened(source: Source, node: Function) -> Found:
    named = any(isinstance(item, ast.alias) and item.name == "Any" for item in ast.walk(source.tree))
    wide = "Any" if named else "object"
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    for part in [node.returns, *(item.annotation for item in arguments)]:
        if part is None or ast.unparse(part) in {wide, "None"}:
            continue
        start, end = source.span(part)
        summary = f"`{source.text(start, end)}` of `{node.name}` became `{wide}`"
        yield source.defect("mistake.widened-type", part.lineno, summary, (start, end, wide))


def _defaults(source: Source) -> Found:
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "getenv" | "pop"), args=[_, ast.Constant() as value]):
                yield _wrong(source, value)
            case ast.arguments(defaults=plain, kw_defaults=named):
                for item in (*plain, *named):
                    yield _wrong(source, item) if isinstance(item, ast.Constant) else None


def _wrong(source: Source, node: ast.Constant) -> Defect | None:
    other: dict[type, str] = {
        str: '"default"',
        bytes: 'b"default"',
        int: "100",
        float: "100.0",
        bool: str(not node.value),
    }
    text = other.get(type(node.value))
    if text is None:
        return None
    start, end = source.span(node)
    summary = f"`{source.text(start, end)}` became `{text}`"
    return source.defect("mistake.wrong-default", node.lineno, summary, (start, end, text))


def _responses(source: Source) -> Found:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Return):
            for item in ast.walk(node):
                if isinstance(item, ast.Dict) and any(isinstance(key, ast.Constant) for key in item.keys):
                    end = source.span(item.values[-1])[1]
                    summary = "a field `debug` that the contract does not name"
                    yield source.defect("mistake.added-field", item.lineno, summary, (end, end, ', "debug": "1"'))
        match node:
            case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=old) if old != "OK":
                end = source.span(node)[1]
                summary = f"`{old}` is answered as `OK`"
                yield source.defect("mistake.error-as-success", node.lineno, summary, (end - len(old), end, "OK"))


def _hard_coded(source: Source, tests: Sequence[Source]) -> Found:
    """Yield defects that replace a computed answer by the literal that a test expects."""
    expected: Mapping[str, list[ast.expr]] = _expected(tests)
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            # A name or a constant may have the expected value already.
            if not isinstance(key, ast.Constant) or isinstance(value, ast.Constant | ast.Name):
                continue
            for literal in expected.get(repr(key.value), []):
                start, end = source.span(value)
                text = _literal(literal)
                summary = f"`{source.text(start, end)}` became `{text}`, which a test expects"
                yield source.defect("mistake.hard-coded-answer", value.lineno, summary, (start, end, text))
    for function in source.functions():
        for literal in expected.get(f"{function.name}()", [])[:1]:
            first = sources.inside(function)
            start, end = source.span(first)[0], source.span(function.body[-1])[1]
            text = f"return {_literal(literal)}"
            summary = f"`{function.name}` only does `{text}`, which a test expects"
            yield source.defect("mistake.hard-coded-answer", function.lineno, summary, (start, end, text))


def _expected(tests: Sequence[Source]) -> dict[str, list[ast.expr]]:
    """Return the literals that tests expect, by the response's key and by the name of the called function."""
    found: dict[str, list[ast.expr]] = {}
    for node in (node for test in tests for node in ast.walk(test.tree)):
        match node:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                        found.setdefault(repr(key.value), []).append(value)
            case ast.Compare(
                left=ast.Call(func=ast.Name(id=name)), ops=[ast.Eq()], comparators=[ast.Constant() as value]
            ):
                found.setdefault(f"{name}()", []).append(value)
    return found


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not {'"', "\\"} & set(repr(node.value)):
        return f'"{node.value}"'
    return ast.unparse(node)


def _remarks(source: Source) -> Found:
    for function in source.functions():
        last = function.body[-1]
        if isinstance(last, ast.Return) and last.lineno == last.end_lineno:
            yield source.remark("mistake.ignored-type", last.lineno, "type: " + "ignore")
            yield source.remark("mistake.suppressed-lint", last.lineno, "no" + "qa")
        if function.lineno == function.body[0].lineno - 1:
            yield source.remark("mistake.uncounted-lines", function.lineno, "pragma: " + "no cover")


def _markers(source: Source) -> Found:
    """Yield an unresolved merge conflict; built directly, because the result does not parse."""
    for function in source.functions()[:1]:
        start, end = source.lines(sources.inside(function).lineno, function.end_lineno or function.lineno)
        body = source.text(start, end)
        text = f"{'<' * 7} HEAD\n{body}{'=' * 7}\n{body}{'>' * 7} theirs\n"
        files = ((source.path, source.edited((start, end, text))),)
        yield Defect("mistake.conflict-marker", source.path, function.lineno, "a conflict is left unresolved", files)
