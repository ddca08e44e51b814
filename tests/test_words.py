"""Text is plain technical English: words of the old dialect stay out of what people read."""

import re

from tests.test_shape import ROOT, name_of

# Whole words and phrases, and what to write instead.
INSTEAD = {
    "mend|mends|mended|mending": "fix",
    "nought": "zero, or nothing",
    "shall": "must",
    "untold": "unspecified",
    "anew": "again",
    "whence|thereof|whereupon|hither": "name the noun",
    "is told of": "receives, or learns",
    "at hand": "available",
}
TEXTS = [
    ROOT / "README.md",
    ROOT / "AGENTS.md",
    ROOT / "CHANGELOG.md",
    ROOT / "Makefile",
    ROOT / ".gitlab-ci.yml",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "runbooks").rglob("*.md")),
    *sorted((ROOT / "specs").rglob("*.md")),
    *sorted((ROOT / "policies").rglob("*.yml")),
    *sorted((ROOT / "terraform").rglob("*.tf")),
    *sorted((ROOT / "scripts").iterdir()),
    *sorted((ROOT / "factory").rglob("*.py")),
    *sorted((ROOT / "factory").rglob("*.j2")),
]


def test_texts_have_none_of_these_words() -> None:
    whole = [(re.compile(rf"(?<![\w`-])(?:{words})(?![\w`-])", re.IGNORECASE), to) for words, to in INSTEAD.items()]
    for path in TEXTS:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for words, instead in whole:
                assert not words.search(line), f"{name_of(path)}:{number}: write {instead}: {line.strip()}"
