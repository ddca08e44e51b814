"""Turns GitLab-flavoured markdown of notes and descriptions into text that a person reads in a terminal."""

import html
import re

_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)\n?", re.DOTALL)
_SUMMARY = re.compile(r"<summary>(.*?)</summary>")
_FOLD = re.compile(r"</?details>\n?")
_BLANKS = re.compile(r"\n{3,}")
# A sign behind a backslash, which is no part of an entity, or an entity (CommonMark 2.4, 2.5).
_ESCAPED = re.compile(r"\\(?P<sign>[!-/:-@\[-`{-~])|&(?:\w+|#\d+);")


def plain(text: str) -> str:
    """Return markdown without HTML comments, folds and escapes; the title of a fold becomes a line of its own."""
    shown = _FOLD.sub("", _SUMMARY.sub(r"\1:", _HIDDEN.sub("", text)))
    return _BLANKS.sub("\n\n", _ESCAPED.sub(_unescaped, shown)).strip()


def _unescaped(found: "re.Match[str]") -> str:
    return found["sign"] or html.unescape(found[0])
