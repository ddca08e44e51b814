"""Tests of the skills that a brief names."""

import pytest

from factory.errors import InvalidInput
from factory.workflow.session import guides
from tests.servers import ROOT

SHIPPED = {
    path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / ".agents/skills").glob("*/SKILL.md")
}
PATH = ".agents/skills/a/SKILL.md"
SKILL = b'---\nname: a\ndescription: Do a\nmetadata:\n  labels: "kind::a, kind::b"\n---\n\n# A\n'


def chosen(*labels: str) -> list[str]:
    return [skill.name for skill in guides.choose(SHIPPED, labels)]


def test_skills_are_chosen_by_label_or_always() -> None:
    assert chosen() == ["amend-a-spec", "fix-a-failing-pipeline"]
    assert chosen("kind::endpoint", "factory::ready") == ["add-an-endpoint", "amend-a-spec", "fix-a-failing-pipeline"]
    assert "write-a-runbook" in chosen("kind::incident")


def test_shipped_skills_are_short() -> None:
    assert len(SHIPPED) == 5
    for path, content in SHIPPED.items():
        assert guides.read(path, content).path == path
        assert len(content.splitlines()) <= 42, path


def test_claude_code_finds_them_too() -> None:
    assert (ROOT / ".claude/skills").resolve() == (ROOT / ".agents/skills").resolve()


def test_other_files_are_no_skills() -> None:
    others = (".agents/skills/SKILL.md", ".agents/skills/a/b/SKILL.md", ".agents/skills/a/more.md", f"apps/{PATH}")
    files = {PATH: SKILL, **dict.fromkeys(others, b"")}
    assert [skill.path for skill in guides.choose(files, ["kind::b"])] == [PATH]
    assert guides.choose(files, ["kind::c"]) == ()


def test_other_keys_are_for_the_agent() -> None:
    more = SKILL.replace(b"name: a", b"name: a\nlicense: MIT\nallowed-tools: Read")
    assert guides.read(PATH, more) == guides.read(PATH, SKILL)
    assert guides.read(PATH, b"---\nname: a\ndescription: Do a\n---\n").labels == frozenset()


@pytest.mark.parametrize(
    "content",
    [
        b"# A\n",
        b"---\nname: a\n",
        b"\xff",
        SKILL.replace(b"name: a", b"name: b"),
        SKILL.replace(b'"kind::a, kind::b"', b"[kind::a]"),
        SKILL.replace(b'\n  labels: "kind::a, kind::b"', b" 1"),
        SKILL.replace(b"description: Do a", b"description: 1"),
        SKILL.replace(b"description: Do a\n", b""),
        SKILL.replace(b"Do a", b"a" * 1025),
    ],
)
def test_a_malformed_skill_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"skills/a/SKILL\.md"):
        guides.read(PATH, content)
