"""Docs that can fail: generated pages, links, and the commands that pages name."""

import re
from pathlib import Path

import pytest

from factory.cli import COMMANDS
from factory.cli.reference import pages

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "AGENTS.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / "runbooks").glob("*.md"),
]


@pytest.mark.parametrize(("name", "text"), pages().items())
def test_generated_pages_are_up_to_date(name: str, text: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text() == text, "run `.venv/bin/factory reference`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_commands_exist(page: Path) -> None:
    for name in re.findall(r"(?:^|`)factory ([a-z]+)", page.read_text(), re.MULTILINE):
        assert name in COMMANDS or name in {"serve", "runner", "agent", "reference"}, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)", page.read_text()):
        assert name in targets, name
