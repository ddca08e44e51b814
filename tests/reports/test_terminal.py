"""Markdown of a note, as a terminal shows it."""

import pytest

from factory.reports import terminal
from factory.reports.markdown import folded, neutral


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("<!-- factory:plan -->\nPlan:", "Plan:"),
        ("a <!-- b\nc --> d", "a  d"),
        ("a\n<!-- not closed", "a"),
        ("\n".join(["x", "", *folded("Gates: 2", ["* `a`"]), "", "y"]), "x\n\nGates: 2:\n\n* `a`\n\ny"),
        (neutral("{a} <b> *c* #1 &amp;", 80), "{a} <b> *c* #1 &amp;"),
        (r"C:\dir", r"C:\dir"),
    ],
)
def test_what_a_terminal_shows(markdown: str, text: str) -> None:
    assert terminal.plain(markdown) == text
