"""Tests of the guides that a brief names."""

import pytest

from factory.errors import InvalidInput
from factory.workflow.session import guides
from tests.servers import ROOT

SHIPPED = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "docs/skills").glob("*.md")}
GUIDE = b"---\nid: a\ntitle: A\nlabels: [kind::a]\n---\n\n# A\n"


def chosen(*labels: str) -> list[str]:
    return [skill.id for skill in guides.choose(SHIPPED, labels)]


def test_guides_are_chosen_by_label_or_always() -> None:
    assert chosen() == ["amend-a-spec", "mend-a-failing-pipeline"]
    assert chosen("kind::endpoint", "factory::ready") == ["add-an-endpoint", "amend-a-spec", "mend-a-failing-pipeline"]
    assert "write-a-runbook" in chosen("kind::incident")


def test_shipped_guides_are_short_and_have_their_title() -> None:
    for path, content in SHIPPED.items():
        assert f"\n# {guides.read(path, content).title}\n" in content.decode()
        assert len(content.splitlines()) <= 40, path


def test_other_files_are_not_guides() -> None:
    files = {"docs/skills/a.md": GUIDE, "docs/skills/a.txt": b"", "docs/a.md": b"", "apps/docs/skills/b.md": b""}
    assert [skill.path for skill in guides.choose(files, ["kind::a"])] == ["docs/skills/a.md"]


@pytest.mark.parametrize(
    "content",
    [
        b"# A\n",
        b"---\nid: a\n",
        b"\xff",
        GUIDE.replace(b"id: a", b"id: b"),
        GUIDE.replace(b"[kind::a]", b"kind"),
        GUIDE.replace(b"[kind::a]", b"[1]"),
        GUIDE.replace(b"title: A", b"title: 1"),
        GUIDE.replace(b"title: A\n", b""),
        GUIDE.replace(b"title: A", b"title: A\nmore: x"),
    ],
)
def test_a_malformed_guide_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"docs/skills/a\.md"):
        guides.read("docs/skills/a.md", content)
