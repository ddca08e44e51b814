"""What a challenge seeds: every defect is one, none strays, and the app's own tests find most of them."""

import ast
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.checks.mutation import catalogue, score
from factory.checks.mutation.challenge import run
from factory.checks.mutation.operators import mutations
from factory.errors import GateFailed, InvalidInput, NotFound
from factory.model.challenge import Defect, DefectOutcome
from factory.reports import challenge as report
from tests.servers import PATIENCE, ROOT, TOOL_PATH

HELLO = ROOT / "apps/hello"
BESIDE = (".gitlab-ci.yml", "policies/gates.yml", "policies/scope.yml")
KINDS = {
    "added-field", "bare-except", "binary-file", "conflict-marker", "dangerous-call", "dead-function", "debugging-left",
    "deleted-test", "deleted-test-file", "early-return", "empty-test", "error-as-success", "expected-failure",
    "hard-coded-answer", "ignored-type", "leaked-secret", "loosened-judge", "new-dependency", "outside-scope",
    "oversized-change", "skipped-test", "suppressed-lint", "swallowed-error", "test-settings", "uncited-test",
    "uncounted-lines", "undeclared-dependency", "unused-import", "weakened-assertion", "weakened-contract",
    "widened-type", "wrong-default",
}  # fmt: skip
NO_PYTHON = {"conflict-marker"}

STATEMENTS = (
    "x = 1", "x: int = -2", "y = 'é' + \"b\" 'c'", "z = a < b <= c", "w = not (x)", "if x: y = 1",
    "t = (1)*(2)+3 ; u = 0", "s = f'{x!r:>{w}} é' 'tail'", "d = {'k': 1, **e}",
    "def f(a, b=1, *, c='x') -> str:\n    return a", "del x", "pass",
    "class C:\n    '''Doc.'''\n    def m(self):\n        \"\"\"Doc.\"\"\"\n        g()\n", "g()",
    "async def h():\n    await g()", "if a and (b or\n       c):\n    g()\nelif not a:\n    pass\nelse:\n    g()",
    "return_ = lambda n=0: n or None", "while x:\n\tx -= 1", "__all__ = ['x']",
    "if __name__ == '__main__':\n    g(1)", "é = os.environ.get('É', '') in 'é'",
    "match x:\n    case 1 | 'a' if x:\n        g()", "@k(1)\ndef j(p: 'int' = 0): return HTTPStatus.OK",
    "r = x[1:-1]['k']", "from typing import Literal\nL = Literal['a']",
    "try:\n    g()\nexcept E:\n    pass\nfinally:\n    g()", "b'' rb'\\x'",
)  # fmt: skip


def hello() -> dict[str, bytes]:
    paths = [path for path in sorted(HELLO.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in [*paths, *(ROOT / n for n in BESIDE)]}


def found(source: str) -> list[tuple[str, str]]:
    """Return kind and the changed lines of each mutant."""
    before = textwrap.dedent(source).lstrip()
    result = []
    for item in mutations("a.py", before):
        ((_, data),) = item.files
        assert data is not None
        result.append((item.kind, "\n".join(line for line in data.decode().splitlines() if line not in before)))
    return result


@given(st.lists(st.sampled_from(STATEMENTS), max_size=6), st.sampled_from(("\n", "\r\n")))
def test_every_mutant_parses_and_means_something_else(statements: list[str], end: str) -> None:
    source = "\n".join(statements).replace("\n", end)
    for item in mutations("a.py", source):
        ((path, data),) = item.files
        assert (path, item.path) == ("a.py", "a.py")
        assert data is not None
        assert ast.dump(ast.parse(data.decode())) != ast.dump(ast.parse(source))
        assert 1 <= item.line <= source.count(end) + 1


@given(st.text() | st.text("()[]{}:'\"\\#\n\t =<>+-notifx01é\r\f", max_size=40))
def test_text_is_mutated_or_refused(source: str) -> None:
    try:
        mutations("a.py", source)
    except InvalidInput as refused:
        assert "a.py" in str(refused)  # noqa: PT017 - both ends are right


@pytest.mark.parametrize(
    ("source", "kind", "mutant"),
    [
        ("a = b < c\n", "mutation.boundary", "a = b <= c"),
        ("a = b is  not c\n", "mutation.compare", "a = b is c"),
        ("a = b and c and d\n", "mutation.boolean", "a = b or c or d"),
        ("a = not b\n", "mutation.boolean", "a = b"),
        ("a = 'é' + (b)\n", "mutation.arithmetic", "a = 'é' - (b)"),
        ("a = 0\n", "mutation.integer", "a = (-1)"),
        ("a = ''\n", "mutation.string", "a = 'XX'"),
        ("a = {'b': c}\n", "mutation.dict-key", "a = {'XXb': c}"),
        ("def f(a=True): ...\n", "mutation.default", "def f(a=False): ..."),
        ("if a:\n    b = c\n", "mutation.negate", "if not a:"),
        ("if a:\n    b = c\n", "mutation.branch", "pass"),
        ("if a:\n    b = c\nelse:\n    c = b\n", "mutation.branch", "if False:"),
        ("for a in b:\n    c(a)\n", "mutation.call", "    pass"),
        ("def f() -> list[int]:\n    return a\n", "mutation.return", "    return []"),
        ("a = HTTPStatus.NOT_FOUND\n", "mutation.status", "a = HTTPStatus.BAD_REQUEST"),
    ],
)
def test_mutations_one_by_one(source: str, kind: str, mutant: str) -> None:
    assert (kind, mutant) in found(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Doc."""\n',
        "def f(a: 'A | None') -> 'B':\n    'Doc.'\n",
        "__all__ = ['a']\n",
        "if TYPE_CHECKING:\n    import a\n",
        "if __name__ == '__main__':\n    main(1)\n",
        "A = Literal['a', 1]\n",
        "T = TypeVar('T')\n",
    ],
)
def test_what_no_test_can_see_is_left_alone(source: str) -> None:
    assert found(source) == []


def test_every_kind_of_mistake_can_be_made_in_hello() -> None:
    files = hello()
    defects = catalogue.mistakes(files)
    assert {item.kind.removeprefix("mistake.") for item in defects} == KINDS
    for item in defects:
        ((path, data),) = item.files
        assert path == item.path
        assert files.get(path) != data
        assert 1 <= item.line <= (files.get(path, b"") + (data or b"")).count(b"\n") + 1
        if data is not None and path.endswith(".py") and item.kind.removeprefix("mistake.") not in NO_PYTHON:
            ast.parse(data)
    assert catalogue.mistakes(files) == defects


def test_a_function_that_answers_only_what_the_test_asks() -> None:
    files = {
        "apps/a/src/a.py": b'def double(n: int) -> int:\n    """Doc."""\n    return n * 2\n',
        "apps/a/tests/test_a.py": b"from a import double\n\n\ndef test_it() -> None:\n    assert double(2) == 4\n",
    }
    seeded = [item for item in catalogue.mistakes(files) if item.kind == "mistake.hard-coded-answer"]
    assert [item.files[0][1] for item in seeded] == [b'def double(n: int) -> int:\n    """Doc."""\n    return 4\n']


@pytest.mark.parametrize(
    "files",
    [{}, {"apps/a/src/a.py": b"def"}, {"apps/a/src/a.py": b"\xff"}, {"a/src/a.py": b"", "b/src/b.py": b""}],
    ids=["nothing", "not Python", "not UTF-8", "two apps"],
)
def test_an_app_that_cannot_be_planted_in(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput):
        catalogue.everything(files)


def test_a_sample_draws_from_every_kind_and_the_same_again() -> None:
    defects = catalogue.everything(hello())
    kinds = {item.kind for item in defects}
    drawn = catalogue.sample(defects, len(kinds), 7)
    assert {item.kind for item in drawn} == kinds
    assert drawn == catalogue.sample(defects, len(kinds), 7) != catalogue.sample(defects, len(kinds), 8)
    assert [defects.index(item) for item in drawn] == sorted(defects.index(item) for item in drawn)
    assert catalogue.sample(defects, 10_000, 7) == defects
    assert catalogue.sample((), 3, 7) == ()


def test_the_harmless_change_is_a_comment() -> None:
    files = hello()
    ((path, data),) = catalogue.harmless(files).files
    assert data is not None
    assert data != files[path]
    assert ast.dump(ast.parse(data)) == ast.dump(ast.parse(files[path]))


def test_a_challenge_counts_and_shows_what_survives() -> None:
    said: list[str] = []
    comment = catalogue.harmless(hello()).files

    def judge(files: Sequence[tuple[str, bytes | None]]) -> tuple[str, ...]:
        return () if tuple(files) == comment or files[0][1] is None else ("unit.failed", "lint.error")

    outcomes = run(HELLO, judge, 40, 0, said.append, kinds=["mistake.deleted-*", "mistake.leaked-secret"])
    found = score.summary(outcomes)
    assert [(tally.kind, tally.seeded, tally.killed) for tally in found.tallies][1:] == [
        ("mistake.deleted-test-file", 2, 0),
        ("mistake.leaked-secret", 5, 5),
    ]
    assert found.tallies[2].rules == ("lint.error", "unit.failed")
    assert {item.kind for item in found.survivors} == {"mistake.deleted-test-file"}
    assert found.percent == found.killed * 100 // found.seeded < 100
    shown = report.lines(found)
    assert "  apps/hello/tests/test_hello.py:1  mistake.deleted-test-file  the file is deleted" in shown
    assert shown[-1] == f"The gates found {found.killed} of {found.seeded} seeded defects ({found.percent} %)."
    assert sum("SURVIVED" in line for line in said) == 2


def test_a_score_is_never_rounded_up() -> None:
    item = Defect("k", "a.py", 1, "s", ())
    outcomes = [DefectOutcome(item, ("r",))] * 899 + [DefectOutcome(item, ())] * 101
    assert score.summary(outcomes).percent == 89
    assert score.summary([]).percent == 0


def test_a_challenge_of_what_is_red_or_missing_is_refused() -> None:
    with pytest.raises(GateFailed, match=r"unit\.failed"):
        run(HELLO, lambda _: ("unit.failed",), None, 0, print)
    with pytest.raises(InvalidInput, match=r"nothing\.\*"):
        run(HELLO, lambda _: (), None, 0, print, kinds=["nothing.*"])
    with pytest.raises(NotFound):
        run(ROOT / "apps/none", lambda _: (), None, 0, print)


@pytest.mark.soak
def test_the_tests_of_hello_alone_find_nine_of_ten_mutants(tmp_path: Path) -> None:
    shutil.copytree(HELLO, tmp_path / "apps/hello", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    argv = [sys.executable, "-m", "pytest", "-x", "-p", "no:schemathesis", "apps"]
    env = {"PATH": TOOL_PATH, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def judge(files: Sequence[tuple[str, bytes | None]]) -> tuple[str, ...]:
        before = {path: (tmp_path / path).read_bytes() for path, _ in files}
        for path, data in files:
            (tmp_path / path).write_bytes(data or b"")
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, timeout=PATIENCE, check=False)
        # Bytecode is known by size and second alone, which two mutants may share.
        shutil.rmtree(tmp_path / "apps/hello/src/__pycache__", ignore_errors=True)
        for path, data in before.items():
            (tmp_path / path).write_bytes(data)
        return ("unit.failed",) if done.returncode else ()

    found = score.summary(run(tmp_path / "apps/hello", judge, None, 0, print, kinds=["mutation.*"]))
    assert found.percent >= 90, report.lines(found)
