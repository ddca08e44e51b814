"""Bad merge requests by what they do to tests, to their reports, and to what tests run."""

from tests.gates.corpus import MAIN, SRC, TEST, Case, Commit, Moved, add, sub

WORLD = '@pytest.mark.spec("HELLO-1")\ndef test_greets_the_world() -> None:\n'
ASSERT = '    assert call("/greeting") == ("200 OK", {"greeting": "Hello, world!"})\n'
_WHOLE = f"{WORLD}{ASSERT}\n\n"
_GREETS = '    del query\n    return HTTPStatus.OK, {"greeting"'
BROKEN = sub(('GREETING = "Hello, world!"', 'GREETING = "Hello?"'))


def altered(name: str, old: str, new: str, *rules: str) -> Case:
    return Case(name, {TEST: sub((old, new))}, rules)


def longer(name: str, text: str, *rules: str) -> Case:
    return Case(name, {TEST: add(f"\n\n{text}")}, rules)


WEAKER = (
    altered("test deleted", _WHOLE, "", "unit.deleted"),
    Case("test file deleted", {TEST: None}, ("unit.deleted", "unit.empty")),
    Case("test file moved out of sight", {"apps/hello/tests/hello_checks.py": Moved(TEST)}, ("unit.deleted",)),
    Case("tests no longer Python", {TEST: add("\n]\n")}, ("unit.deleted",)),
    altered("test renamed away", "def test_greets_the_world", "def checks_the_world", "unit.deleted"),
    altered("test commented out", _WHOLE, _WHOLE.replace("@", "#@").replace("def", "#def").replace("    a", "#    a"),
          "unit.deleted"),
    altered("test put into a function", _WHOLE, f"def more() -> None:\n    def test_x() -> None:\n    {ASSERT}\n\n",
          "unit.deleted"),
    altered("citation removed", '@pytest.mark.spec("HELLO-1")\n', "", "unit.deleted"),
    altered("citation exchanged", 'spec("HELLO-1")', 'spec("HELLO-3")', "unit.deleted"),
    altered("assertion removed", ASSERT, '    call("/greeting")\n', "unit.weakened", "unit.hollow"),
    altered("assertion of nothing", ASSERT, '    call("/greeting")\n    assert True\n', "unit.weakened"),
    altered("assertion of a constant", ASSERT, "    assert 1 == 1\n", "unit.hollow"),
    altered("assertion commented out", ASSERT, f'    call("/x")\n    #{ASSERT}', "unit.hollow"),
    altered("assertion of a part", ASSERT, '    assert call("/greeting")\n', "unit.weakened"),
    altered("one assertion of two removed", '    assert call("/version") == ("200 OK", {"release": "hello-abc"})\n', "",
          "unit.weakened"),
    altered("skip", WORLD, f'@pytest.mark.skip(reason="later")\n{WORLD}', "unit.skipped"),
    altered("skipif", WORLD, f'@pytest.mark.skipif("1", reason="later")\n{WORLD}', "unit.skipped"),
    altered("xfail", WORLD, f'@pytest.mark.xfail(reason="later")\n{WORLD}', "unit.skipped"),
    altered("skip in the body", ASSERT, f'    pytest.skip("later")\n{ASSERT}', "unit.skipped"),
    altered("xfail in the body", ASSERT, f'    pytest.xfail("later")\n{ASSERT}', "unit.skipped"),
    altered("import or skip", ASSERT, f'    pytest.importorskip("absent")\n{ASSERT}', "unit.skipped"),
    altered("the whole module skipped", "\n\ndef call(", '\n\npytestmark = pytest.mark.skip(reason="x")\n\n\ndef call(',
          "unit.skipped", "unit.empty"),
    altered("one parameter skipped", 'ids=["by default", "as told"]', 'ids=["x", pytest.param("y", '
          'marks=pytest.mark.skip(reason="x"))]', "unit.skipped"),
    longer("new test asserts nothing", 'def test_more() -> None:\n    call("/health")\n', "unit.hollow"),
    Case("weakened in small steps", {TEST: sub((ASSERT, ASSERT + '    call("/x")\n'))}, ("unit.hollow",),
         more=(Commit({TEST: sub((ASSERT, ""))}),)),
)  # fmt: skip

REPORTS = (
    Case("code fails its test", {SRC: BROKEN}, ("unit.failed",)),
    Case("code cannot be imported", {SRC: add('\nraise RuntimeError("x")\n')}, ("unit.empty",)),
    longer("a fixture fails", "@pytest.fixture\ndef broken() -> None:\n    raise RuntimeError\n\n\n"
          "def test_more(broken: None) -> None:\n    assert call\n", "unit.error"),
    longer("tests not collected", "__test__ = False\n", "unit.empty"),
    longer("a class of tests not collected", "class TestMore:\n    __test__ = False\n\n"
          '    def test_more(self) -> None:\n        assert call("/x")\n', "unit.unrun"),
    longer("a class that pytest passes over", "class TestMore:\n    def __init__(self) -> None:\n        self.x = 1\n\n"
          '    def test_more(self) -> None:\n        assert call("/x")\n', "unit.unrun"),
    longer("a test made at run time", 'globals()["test_made"] = lambda: None\n', "unit.unknown"),
    longer("a test removed at run time", "del test_greets_the_world\n", "unit.unrun"),
    longer("a test replaced at run time", "test_greets_the_world = lambda: None\n", "lint.e731"),
    Case("a program that ends the run", {TEST: add("\n\nimport os\n\nos._exit(0)\n")}, blocked=("unit",)),
    Case("a forged report of other tests", {SRC: BROKEN, TEST: add(
        '\n\ndef _forge() -> None:\n    report = sys.argv[-1].partition("=")[2]\n'
        '    Path(report).write_text(\'<t><testcase name="all"/></t>\')\n\n\n'
        "import atexit, sys\n\natexit.register(_forge)\n")}, ("unit.unrun",)),
    Case("a forged report with entities", {SRC: BROKEN, TEST: add(
        '\n\ndef _forge() -> None:\n    report = sys.argv[-1].partition("=")[2]\n'
        "    Path(report).write_text('<!DOCTYPE t [<!ENTITY a \"b\">]><t>&a;</t>')\n\n\n"
        "import atexit, sys\n\natexit.register(_forge)\n")}, blocked=("unit",)),
)  # fmt: skip

UNCOVERED = (
    Case("code without a test", {SRC: add("\n\ndef more(x: int) -> int:\n    if x:\n        return 1\n    return 2\n")},
         ("unit.uncovered",)),
    Case("a branch without a test", {SRC: sub((_GREETS, "    if query:\n        query.clear()\n        query = {}\n"
         + _GREETS))}, ("unit.uncovered",)),
    Case("a module without a test", {"apps/hello/src/more.py": "X = 1\nY = 2\n"}, ("unit.uncovered",)),
    Case("an app without a test", {"apps/more/src/more.py": '"""More."""\n\nX = 1\n'}, ("unit.uncovered",)),
    Case("a start without a test", {MAIN: add('\nif "X" in os.environ:\n    os.abort()\n')}, ("unit.uncovered",)),
)  # fmt: skip
BAD = (*WEAKER, *REPORTS, *UNCOVERED)
