"""Hints: they name the cause, commands that exist, and the instance of the command that printed them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.named_commands import assert_exists
from tests.instances import make_instance

SOURCE = Path(__file__).parents[2] / "factory"
OTHER = {"FACTORY_INSTANCE": "other"}


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (["status"], {}, "  next: Start them with `factory up`."),
        (["--instance", "default", "status"], {}, "  next: Start them with `factory up`."),
        (
            ["--instance", "other", "status"],
            {},
            "  next: Start them with `factory --instance other up`.",
        ),
        (["status"], OTHER, "  next: Start them with `factory --instance other up`."),
        # Commands that read no instance, a group that tells its errors itself, and a table without rows.
        (["--instance", "other", "spec", "show", "x"], {}, "List the specs with `factory --instance other spec list`."),
        (["--instance", "other", "gitlab", "plan"], {}, "with `factory --instance other up`."),
        (["--instance", "other", "spec", "list"], {}, "write one with `factory --instance other spec new`"),
    ],
)
def test_a_hint_names_the_instance(tmp_path: Path, arguments: list[str], env: dict[str, str], told: str) -> None:
    made = make_instance(tmp_path)
    for path in (made.clone / "specs").iterdir():
        path.unlink()
    done = made.run(*arguments, check=False, **env)
    assert told in f"{done.stdout}\n{done.stderr}"


def trees() -> Iterator[tuple[str, ast.AST]]:
    """Yield the name and the syntax tree of every module of the factory."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def hints(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a module's hints: in arguments, in attributes of classes, and in constants."""
    arguments = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "hint"]
    names = {"hint", *(node.value.id for node in arguments if isinstance(node.value, ast.Name))}
    constants = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names
    ]
    for node in (*(argument.value for argument in arguments), *constants):
        yield from (text(part) for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr))


def text(node: ast.expr) -> str:
    """Return the text of a string, with N for each value that is filled in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "N" for part in parts)


def test_an_error_for_what_is_not_there_says_what_to_do_about_it() -> None:
    """The default hint of ``NotFound`` fits the answers of servers alone."""
    without = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NotFound"
        if not any(keyword.arg == "hint" for keyword in node.keywords)
    ]
    assert without == []


def test_commands_of_hints_exist_with_their_options() -> None:
    found = 0
    for _, tree in trees():
        for hint in hints(tree):
            for line in re.findall(r"`factory ([a-z][^`]*)`", hint):
                assert_exists(line)
                found += 1
    assert found > 100
