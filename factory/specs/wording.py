"""Finds undecided markers, and vague words without a number. Pure."""

import re
from collections.abc import Iterator, Sequence

# Only in capitals: an app may be about a `todo` list.
_CAPITALS = ("TODO", "TBD", "TBC", "TBA", "FIXME", "XXX")
_UNDECIDED = re.compile(
    rf"\b(?:{'|'.join(_CAPITALS)})\b|\?\?\?+"
    r"|\b(?i:(?:to\s+be|not\s+yet)\s+(?:agreed|announced|chosen|clarified|confirmed|decided|defined|determined"
    r"|discussed|specified)|undecided|open\s+questions?|decide\s+later|lorem\s+ipsum)\b"
)
# Every undecided marker contains one of these; searching for them first is cheap for a spec without markers.
_HINTS = (*(word.lower() for word in _CAPITALS), "???", "to be", "not yet", "undecided", "question", "later", "lorem")

# These words are accepted if the same sentence has a number.
VAGUE = frozenset(
    """
    acceptable acceptably adequate adequately almost appropriate appropriately approximately asap big considerable
    considerably convenient conveniently easily easy efficient efficiently elegant enough eventually extensive fast
    faster few flexible flexibly frequent frequently friendly generally graceful gracefully huge immediately
    instantly intuitive intuitively large lightweight many mostly nearly normally numerous occasionally often
    optimal optimally performant periodically plenty promptly properly quick quicker quickly rapid rapidly rarely
    reasonable reasonably regularly reliable reliably robust robustly roughly scalable seamless seamlessly several
    shortly significant significantly slow slowly small smooth smoothly sometimes soon substantial substantially
    sufficient sufficiently suitable suitably swift swiftly timely tiny typically user-friendly usually various
    """.split()  # noqa: SIM905 - 80 words are easier to read without quotes
)
# These are findings even with a number.
OPEN_ENDED = (
    "etc", "and so on", "and so forth", "and the like", "and/or", "or similar", "as appropriate", "as needed",
    "as necessary", "if necessary", "if needed", "if possible", "where possible", "when possible",
    "where appropriate", "when appropriate", "best effort", "somehow", "at some point",
)  # fmt: skip
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_NUMBER = re.compile(r"(?<![\w-])[0-9]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s")
# `how many` asks for a number and `as soon as` names an event: neither is vague.
_ASKS = frozenset({"how", "as"})
_BREAKS = ("- ", "* ", "+ ", "#", "|", ">")


def undecided(text: str) -> Iterator[tuple[int, str]]:
    """Yield the offset and the text of each undecided marker."""
    low = " ".join(text.lower().split())
    if any(hint in low for hint in _HINTS):
        for match in _UNDECIDED.finditer(text):
            yield match.start(), match.group()


def vague(lines: Sequence[str]) -> Iterator[tuple[int, str, bool]]:
    """Yield for each vague word in ``lines`` the line's index, the word, and whether a number would fix it.

    The caller must blank out code and ids, because numbers in them measure nothing.
    """
    low = "\n".join(lines).lower()
    words = VAGUE.intersection(_WORD.findall(low))
    flat = " ".join(low.split())
    phrases = [re.escape(phrase).replace(r"\ ", r"\s+") for phrase in OPEN_ENDED if phrase in flat]
    if not words and not phrases:
        return
    shape = re.compile(rf"(?<![\w-])(?:{'|'.join([*phrases, *sorted(words)])})(?![\w-])")
    for first, block in _blocks(low.split("\n")):
        at = 0
        for sentence in _SENTENCE.split(block):
            measured = _NUMBER.search(sentence) is not None
            for match in shape.finditer(sentence):
                word = match.group()
                closes = word in VAGUE
                if not closes or not (measured or _asks(sentence, match)):
                    yield first + block.count("\n", 0, at + match.start()), " ".join(word.split()), closes
            at += len(sentence) + 1


def _asks(sentence: str, match: "re.Match[str]") -> bool:
    before = sentence[: match.start()].split()
    return bool(before) and before[-1] in _ASKS


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield each paragraph, list item, heading and table row with the index of its first line."""
    start = 0
    for index, line in enumerate(lines):
        if index > start and (not line.strip() or line.lstrip().startswith(_BREAKS)):
            yield start, "\n".join(lines[start:index])
            start = index
    yield start, "\n".join(lines[start:])
