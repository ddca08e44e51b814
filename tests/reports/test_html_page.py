"""The page of one table."""

from factory.reports.html_page import page


def test_every_value_is_escaped() -> None:
    shown = page("<b>", ("<i>",), [("<script>alert(1)</script>", 3)], quote="a < b")
    assert "<script" not in shown
    for text in ("&lt;b&gt;", "&lt;i&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;", "<td>3</td>", "a &lt; b"):
        assert text in shown


def test_the_page_loads_nothing() -> None:
    shown = page("title", ("What",), [])
    assert "src=" not in shown
    assert "http" not in shown
    assert "<pre>" not in shown
