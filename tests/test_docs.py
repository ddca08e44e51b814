"""Docs that can fail: generated pages, links, and the commands that pages name."""

import json
import re
from pathlib import Path

import pytest

from factory.cli.reference import pages
from tests.cli.named_commands import assert_exists

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "AGENTS.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / "runbooks").glob("*.md"),
]


def test_generated_pages_are_up_to_date() -> None:
    folder = ROOT / "docs/reference"
    stale = [name for name, text in pages().items() if (folder / name).read_text() != text]
    assert stale == [], "run `.venv/bin/factory reference`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", page.read_text()):
        found = (page.parent / target) if target else page
        assert found.exists(), target
        assert not anchor or anchor[1:] in anchors(found), f"{target}{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitLab makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_commands_exist_with_their_options(page: Path) -> None:
    for line in re.findall(r"(?:^|`|\$ |bin/|scripts/)factory ([a-z][^`\n]*)", page.read_text(), re.MULTILINE):
        assert_exists(line)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "runbooks"], ids=lambda page: page.name)
def test_runbooks_have_their_parts_in_order(page: Path) -> None:
    parts = re.findall(r"^\*\*([A-Z][a-z]+)\.\*\*", page.read_text(), re.MULTILINE)
    assert parts == ["Symptoms", "Check", "Decide", "Fix", "Afterwards"]
    assert len(page.read_text().splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)", page.read_text()):
        assert name in targets, name


def test_readme_says_when_the_proof_was_last_run() -> None:
    last = json.loads((ROOT / "docs/conformance/last-prove.json").read_text())
    text = " ".join((ROOT / "README.md").read_text().split())
    real = last["real"] or "*not yet run*"
    assert f"last run against the loopback parts on {last['loopback']}; against real services: {real}." in text
