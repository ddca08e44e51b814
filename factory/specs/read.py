"""Reads a spec: a markdown file with front matter, four parts, and requirements and scenarios with ids."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.specs import markdown
from factory.specs.markdown import Blocks
from factory.system import canonical

STATUSES = ("draft", "decided", "superseded")
KEYS = ("id", "title", "status", "version", "owner")
PARTS = ("Outcome", "Structure", "Contract", "Validation")
ID = r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*-[0-9]+"

_SPEC_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_KEY = re.compile(r"([A-Za-z_][\w-]*) *:(?: +(.*))?", re.ASCII)
_QUOTED = re.compile(r"""(?:"([^"\\]*)"|'((?:[^']|'')*)') *(?:#.*)?""")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_REQUIREMENT = re.compile(rf"- +\*\*({ID})\*\*:?(?: +(.*))?")
_SCENARIO = re.compile(rf"- +({ID}):(?: +(.*))?")
# Lines that end a list item's paragraph without a blank line: a heading, rule, list item, quote or table.
_ENDS_ITEM = re.compile(r"#{1,6} |[-*+] |[0-9]+[.)] |-{3,}|\*{3,}|`{3,}|~{3,}|>|\|")
CITED = re.compile(r"^Spec:\s*([a-z][a-z0-9-]*)\s*$", re.MULTILINE)
# Words that YAML 1.1 does not read as strings, and characters with which an unquoted string cannot begin.
_NO_TEXT = {"", "~", "null", "true", "false", "yes", "no", "on", "off"}
_SIGNS = tuple("!&*[]{}|>%@`\"'#,?:-=")


@dataclass(frozen=True)
class Part:
    """A second-level heading, its line, and the text below it."""

    name: str
    line: int
    text: str


@dataclass(frozen=True)
class Scenario:
    """One Given/When/Then of the requirement with the id, as one line of text."""

    requirement: str
    text: str
    line: int


@dataclass(frozen=True)
class Requirement:
    """A requirement's text on one line, and its scenarios."""

    id: str
    text: str
    line: int
    scenarios: tuple[Scenario, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the text and the scenarios, independent of line breaks and indentation."""
        return canonical.digest_of({"text": self.text, "scenarios": [scenario.text for scenario in self.scenarios]})


@dataclass(frozen=True)
class Spec:
    """A parsed spec; ``digest`` is the file's.

    ``requirements`` and ``scenarios`` are in the order of the file, including duplicate ids; each scenario is also in
    the first requirement with its id. ``lines`` are the file's lines without line ends; line numbers start at 1.
    """

    id: str
    title: str
    status: str
    version: int
    owner: str
    body: str
    requirements: tuple[Requirement, ...]
    scenarios: tuple[Scenario, ...]
    parts: tuple[Part, ...]
    lines: tuple[str, ...]
    blocks: Blocks
    start: int
    digest: str


@dataclass(frozen=True)
class Fault:
    """Why a file is not a spec, and the line."""

    line: int
    message: str


class _Refused(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(line, message)


def read(content: bytes, *, source: str) -> Spec:
    """Return the spec in a file's bytes; raises ``InvalidInput`` with ``source``, the line and the problem."""
    found = examine(content)
    if isinstance(found, Fault):
        raise InvalidInput(f"{source}:{found.line}: {found.message}")
    return found


def examine(content: bytes) -> Spec | Fault:
    """Return the spec in a file's bytes, or the fault; raises nothing."""
    try:
        return _spec(content)
    except _Refused as refused:
        return refused.fault


def cited(text: str) -> str | None:
    """Return the spec id that an issue, commit or merge request names on a line ``Spec: <id>``."""
    match = CITED.search(text)
    return match.group(1) if match else None


def path_of(spec: str) -> str:
    """Return the path of the spec with an id."""
    return f"specs/{spec}.md"


def is_id(text: str) -> bool:
    """Return whether a text is a valid spec id: lower-case letters, digits and single hyphens, a letter first."""
    return _SPEC_ID.fullmatch(text) is not None and len(text) <= 63  # noqa: PLR2004 - a file name and a label hold it


def is_plain(text: str) -> bool:
    """Return whether YAML and ``read`` both read an unquoted front matter value as this exact text."""
    return (
        text.isprintable()
        and text == text.strip()
        and text.lower() not in _NO_TEXT
        and not text.startswith(_SIGNS)
        and not text.endswith(":")
        and ": " not in text
        and " #" not in text
        and (" " in text or not (text[0].isdigit() or text[0] in "+."))
    )


def _spec(content: bytes) -> Spec:
    lines = _lines(content)
    if lines[0].rstrip() != "---":
        raise _Refused(1, "a spec must begin with front matter between two lines ---")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise _Refused(1, "the front matter's closing line --- is missing")
    front = _front(lines[1:end])
    blocks = markdown.blocks(lines, end + 1)
    parts = _parts(lines, end + 1, blocks)
    requirements, scenarios = _items(lines, end + 1, blocks, parts)
    return Spec(
        id=front["id"],
        title=front["title"],
        status=front["status"],
        version=int(front["version"]),
        owner=front["owner"],
        body="\n".join(lines[end + 1 :]).strip(),
        requirements=requirements,
        scenarios=scenarios,
        parts=parts,
        lines=tuple(lines),
        blocks=blocks,
        start=end + 1,
        digest=canonical.digest(content),
    )


def _lines(content: bytes) -> list[str]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _Refused(content.count(b"\n", 0, error.start) + 1, "the file is not UTF-8 text") from None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    # CommonMark ends a line there, too, so that the page would have other lines than the spec.
    alone = next((number for number, line in enumerate(lines, 1) if "\r" in line), None)
    if alone is not None:
        raise _Refused(alone, "a carriage return must be followed by a line feed")
    return lines


def _front(lines: Sequence[str]) -> Mapping[str, str]:
    """Return the front matter: flat lines ``key: value``, a subset of YAML.

    PyYAML would take longer for these five lines than all other work on a spec.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        if not line.strip() or line.startswith("#"):
            continue
        match = _KEY.fullmatch(line.rstrip(" "))
        if match is None:
            raise _Refused(number, f"a line of the front matter must be `key: value`, not {line[:60]!r}")
        key, value = match[1], match[2] or ""
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; use one of {', '.join(KEYS)}"
            raise _Refused(number, f"the front matter has no key {key}{meant}")
        if key in found:
            raise _Refused(number, f"the key {key} appears twice")
        found[key] = _value(number, key, value.strip(" "))
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise _Refused(1, f"the front matter lacks {', '.join(missing)}")
    return found


def _value(number: int, key: str, given: str) -> str:
    quoted = _QUOTED.fullmatch(given)
    if quoted:
        text = quoted[1] if quoted[1] is not None else quoted[2].replace("''", "'")
    else:
        text = re.split(r"(?:^| )#", given, maxsplit=1)[0].rstrip(" ")
    if not text.strip() or not given.isprintable():
        raise _Refused(number, f"{key} must be printable text on one line, and not empty")
    if key == "version":
        if quoted or _VERSION.fullmatch(text) is None:
            raise _Refused(number, f"version must be a whole number of at least 1, not {text[:60]!r}")
    elif not quoted and not is_plain(text):
        raise _Refused(number, f"{key}: put {text[:60]!r} in quotes; YAML does not read it as a string")
    if key == "id" and not is_id(text):
        raise _Refused(number, f"id must be lower-case letters, digits and single hyphens, not {text[:60]!r}")
    if key == "status" and text not in STATUSES:
        raise _Refused(number, f"status must be one of {', '.join(STATUSES)}, not {text[:60]!r}")
    return text


def _parts(lines: Sequence[str], start: int, blocks: Blocks) -> tuple[Part, ...]:
    heads = [
        (index, lines[index][3:].strip().rstrip("#").strip())
        for index in range(start, len(lines))
        if lines[index].startswith("## ") and index not in blocks.unread
    ]
    ends = [*(index for index, _ in heads[1:]), len(lines)]
    return tuple(
        Part(name, index + 1, "\n".join(lines[index + 1 : end]).strip())
        for (index, name), end in zip(heads, ends, strict=False)
    )


def _items(
    lines: Sequence[str], start: int, blocks: Blocks, parts: Sequence[Part]
) -> tuple[tuple[Requirement, ...], tuple[Scenario, ...]]:
    requirements: list[tuple[str, str, int]] = []
    scenarios: list[Scenario] = []
    heads = {part.line - 1: part.name for part in parts}
    part = ""
    for index in range(start, len(lines)):
        part = heads.get(index, part)
        line = lines[index]
        if not line.startswith("- ") or index in blocks.unread:
            continue
        match = _REQUIREMENT.fullmatch(line.rstrip())
        if match:
            requirements.append((match[1], _joined(match[2], lines, index, blocks), index + 1))
        elif part == "Validation" and (match := _SCENARIO.fullmatch(line.rstrip())):
            scenarios.append(Scenario(match[1], _joined(match[2], lines, index, blocks), index + 1))
    of: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        of.setdefault(scenario.requirement, []).append(scenario)
    return (
        tuple(Requirement(name, text, line, tuple(of.pop(name, ()))) for name, text, line in requirements),
        tuple(scenarios),
    )


def _joined(first: str | None, lines: Sequence[str], index: int, blocks: Blocks) -> str:
    """Return a list item's text, with its continuation lines, on one line."""
    return " ".join(" ".join([first or "", *_continued(lines, index + 1, blocks)]).split())


def _continued(lines: Sequence[str], start: int, blocks: Blocks) -> Iterator[str]:
    blank = False
    for index in range(start, len(lines)):
        line = lines[index]
        if not line.strip():
            blank = True
            continue
        # A line without indentation can continue the paragraph above it (CommonMark 5.2, laziness).
        if line[0] not in " \t" and (blank or _ENDS_ITEM.match(line) or index in blocks.unread):
            return
        if index in blocks.html:
            continue
        yield line
