"""One self-contained page with one table: for browsers, light and dark, and for paper."""

from collections.abc import Sequence
from pathlib import Path

from factory.system import templates

_TEMPLATE = Path(__file__).with_name("html_page.html.j2")


def page(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], *, quote: str = "") -> str:
    """Return the page; ``quote`` is shown above the table as code. Every value is escaped."""
    values = {"title": title, "headings": headings, "rows": rows, "quote": quote}
    return templates.render_html(_TEMPLATE.read_text(encoding="utf-8"), values, source=_TEMPLATE.name)
