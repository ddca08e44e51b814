"""The attacks that once succeeded, each with the tests that hold it now: `python -m tests.test_attacks` lists them."""

import ast
import json
from functools import cache
from pathlib import Path

import pytest

from tests.summary import SUITES

TESTS = Path(__file__).parent
ATTACKS = {item["attack"]: item["tests"] for item in json.loads((TESTS / "attacks.json").read_text())}


@cache
def functions(path: str) -> dict[str, str]:
    """Return the tests of a file, each with the target of `make` that runs it."""
    tree = ast.parse((TESTS / path).read_text())
    marked = [
        ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)
    ]
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            marks = " ".join([*marked, *(ast.unparse(one) for one in node.decorator_list)])
            found[node.name] = "test-long" if "mark.long" in marks else "test"
    return found


def suite(test: str) -> str:
    """Return which suite has a test: a hostile one by its name, and the target of `make`."""
    path, _, name = test.partition("::")
    hostile = [f"{named}, " for named, (place, _) in SUITES.items() if place in f"tests/{test}"]
    return f"{''.join(hostile)}make {functions(path)[name]}"


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_has_tests_that_exist(attack: str) -> None:
    assert ATTACKS[attack]
    for test in ATTACKS[attack]:
        assert suite(test).endswith(("make test", "make test-long"))


if __name__ == "__main__":
    for what, held in ATTACKS.items():
        print(what)  # noqa: T201 - the list is for a person
        for one in held:
            print(f"  {suite(one):28} {one}")  # noqa: T201
