"""Good merge requests: by agents within their bounds, and by people, whose changes of the judge are flagged."""

from tests.gates.corpus import (
    CI,
    CONTRACT,
    GATES,
    OPENAPI,
    SPEC,
    SRC,
    TEST,
    TRAILERS,
    Case,
    Commit,
    Edits,
    Moved,
    add,
    by_person,
    planned,
    sub,
)
from tests.gates.corpus_bad_code import DECIDED
from tests.gates.corpus_bad_paths import ANY, EXCUSE, UNUSED

_GREETS = """    del query
    return HTTPStatus.OK, {"greeting": GREETING}
"""
_GREETS_BY_NAME = """    name = query.get("name", [""])[0]
    return HTTPStatus.OK, {"greeting": f"Hello, {name}!" if 1 <= len(name) <= LONGEST else GREETING}
"""
_BY_NAME = sub(
    ('GREETING = "Hello, world!"\n', 'GREETING = "Hello, world!"\nLONGEST = 40\n'), (_GREETS, _GREETS_BY_NAME)
)
_ASKS = """

@pytest.mark.spec("HELLO-2")
def test_greets_by_name() -> None:
    assert call("/greeting", "name=Ada") == ("200 OK", {"greeting": "Hello, Ada!"})
    assert call("/greeting", "name=" + "a" * 41) == ("200 OK", {"greeting": "Hello, world!"})
"""
_MORE = """

@pytest.mark.spec("HELLO-4")
def test_more() -> None:
    assert call("/") == ("404 Not Found", {"error": "not found"})
"""
_MOVED = """@pytest.mark.spec("HELLO-3")
def test_a_release_without_a_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELEASE", raising=False)
    assert call("/version") == ("200 OK", {"release": "unreleased"})
"""
_THERE = '''"""The release."""

import pytest
from hello import version

'''
_TOTAL = '''"""Adds."""


def total(one: int, other: int) -> int:
    """Return the sum."""
    return one + other
'''
_TESTED = '''"""Sums."""

import runpy
from pathlib import Path


def test_total() -> None:
    found = runpy.run_path(str(Path(__file__).parents[1] / "src/more.py"))
    assert found["total"](1, 2) == 3
'''
_APP: Edits = {"apps/more/src/more.py": _TOTAL, "apps/more/tests/test_more.py": _TESTED}
_DEAD = add("\n\ndef dead() -> int:\n    return 1\n")
_TF = "terraform/live/production/main.tf"
_SMALL = "Mend a word\n\nIssue: #1\nSpec: small\nFactory-Session: s-1"
_RECORD = "cloudflare_dns_record"

BY_AGENT = (
    Case("a feature with its test", {SRC: _BY_NAME, TEST: add(_ASKS)}),
    Case("a feature in two commits", {SRC: _BY_NAME}, more=(Commit({TEST: add(_ASKS)}),)),
    Case(
        "a refactoring",
        {SRC: sub(('data = json.dumps(body).encode() + b"\\n"', 'data = (json.dumps(body) + "\\n").encode()'))},
    ),
    Case("a page", {"docs/hello.md": "# Hello\n\nIt greets.\n"}),
    Case("a page in other scripts", {"docs/grüße.md": "# Grüße, 挨拶, \u05e9\u05dc\u05d5\u05dd 🎉\n"}),
    Case(
        "a page that names a token's shape", {"docs/tokens.md": "A token begins with `glpat-`; put it into `$TOKEN`.\n"}
    ),
    Case("a page of a URL", {"docs/urls.md": "See https://docs.test/a:b@c and git@host.test:x/y.git.\n"}),
    Case("a page deleted", {"docs/agents.md": None}),
    Case("a page moved", {"docs/tools.md": Moved("docs/agents.md")}),
    Case("as many lines as allowed", {"docs/long.md": "x\n" * 800}),
    Case("as many files as allowed", {f"docs/page-{n}.md": "x\n" for n in range(40)}),
    Case("a new test", {TEST: add(_MORE)}),
    Case(
        "a stronger test",
        {
            TEST: sub(
                (
                    '    assert call("/nothing")[0] == "404 Not Found"\n',
                    '    assert call("/nothing")[0] == "404 Not Found"\n    assert call("/")[0] == "404 Not Found"\n',
                )
            )
        },
    ),
    Case("a test renamed", {TEST: sub(("test_greets_the_world", "test_greets_everybody"))}),
    Case(
        "a test moved",
        {
            TEST: sub((f"{_MOVED}\n\n", "")),
            "apps/hello/tests/test_release.py": f"{_THERE}\n{_MOVED}".replace(
                'call("/version")', '("200 OK", version({})[1])'
            ),
        },
    ),
    Case(
        "a test in a class",
        {
            TEST: add(
                "\n\nclass TestMore:\n    def test_more(self) -> None:\n"
                "        assert call('/')[0] == '404 Not Found'\n"
            )
        },
    ),
    Case(
        "a module with tests",
        {
            "apps/hello/src/words.py": '"""Words."""\n\nWORLD = "world"\n',
            SRC: sub(
                (
                    "from urllib.parse import parse_qs\n",
                    "from urllib.parse import parse_qs\n\nfrom words import WORLD\n",
                ),
                ('"Hello, world!"', 'f"Hello, {WORLD}!"'),
            ),
        },
    ),
    Case("an app with tests", _APP),
    Case("a comment", {SRC: sub(("GREETING =", "# What everybody is told.\nGREETING ="))}),
    Case("dead code deleted", {SRC: sub(("\n\ndef dead() -> int:\n    return 1\n", ""))}, base={SRC: _DEAD}),
    Case(
        "infrastructure",
        {_TF: ANY},
        plan=planned((f"{_RECORD}.x", _RECORD, ["create"]), (f"{_RECORD}.y", _RECORD, ["update"])),
    ),
    Case(
        "as much infrastructure as allowed",
        {_TF: ANY},
        plan=planned(*((f"{_RECORD}.x{n}", _RECORD, ["update"]) for n in range(10))),
    ),
    Case("infrastructure that stays", {_TF: ANY}, plan=planned((f"{_RECORD}.this", _RECORD, ["no-op"]))),
    Case("several commits", {"docs/a.md": "a\n"}, more=(Commit({"docs/b.md": "b\n"}), Commit({"docs/c.md": "c\n"}))),
    Case("a small issue", {"docs/a.md": "a\n" * 30}, message=_SMALL),
    Case("an exception in force", {SRC: UNUSED}, base={"policies/exceptions.yml": EXCUSE % (SRC, "2026-11-20")}),
    Case(
        "a known package",
        {"apps/hello/requirements.txt": "kept==1.0 --hash=sha256:00\n"},
        base={GATES: sub(("  known: {}", "  known: {kept: MIT}"))},
    ),
    Case("a long subject", {"docs/a.md": "a\n"}, message="x" * 120 + TRAILERS),
)

BY_PERSON = (
    by_person(
        "a policy",
        {GATES: sub(("plan: {where: pipeline, required: true}", "plan: {where: pipeline, required: false}"))},
        judge_changed=True,
    ),
    by_person("an exception", {"policies/exceptions.yml": EXCUSE % (SRC, "2027-01-31")}, judge_changed=True),
    by_person("the pipeline", {CI: ANY}, judge_changed=True),
    by_person("a gate", {"factory/gates/lint.py": ANY}, judge_changed=True),
    by_person("the contract", {OPENAPI: sub(("title: hello", "title: greeting"))}, judge_changed=True),
    by_person(
        "the contract's tests",
        {CONTRACT: ANY},
        judge_changed=True,
        base={"policies/exceptions.yml": (EXCUSE % (CONTRACT, "2027-01-31")).replace("lint.f401", "security.s603")},
    ),
    by_person("the contract in another case", {"apps/hello/OpenAPI.yml": "x: 1\n"}, judge_changed=True),
    by_person("a spec", {SPEC: sub(("owner: operator", "owner: founder"))}, judge_changed=True),
    by_person(
        "a spec that is new, with what it asks for",
        {"specs/other.md": DECIDED, "docs/x.md": "x\n"},
        message="Bring it\n\nSpec: other",
        judge_changed=True,
    ),
    by_person("the tests' settings", {"apps/hello/conftest.py": ANY}, judge_changed=True),
    by_person("a page, without trailers", {"docs/a.md": "a\n"}, message="Change a page\n\nSpec: hello"),
    by_person("a test fewer", {TEST: sub(('    assert call("/nothing")[0] == "404 Not Found"\n', ""))}),
    by_person("many files", {f"docs/page-{n}.md": "x\n" for n in range(60)}),
)
GOOD = (*BY_AGENT, *BY_PERSON)
