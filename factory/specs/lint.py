"""Finds text in specs that would make an agent guess. Pure: the same bytes give the same findings."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from factory.model.verdict import Finding
from factory.specs import wording
from factory.specs.read import ID, PARTS, Fault, Spec, examine
from factory.specs.rules import RULES

_ID = re.compile(rf"(?<![\w-]){ID}(?![\w-])")
# A list item or paragraph that begins with an id, like a requirement or a scenario.
_LIKE_ITEM = re.compile(rf"\s*(?:[-*+]\s+|[0-9]+[.)]\s+)?[*_]{{0,3}}{ID}[*_]{{0,3}}\s*[*_]{{0,3}}:|\s*[-*+]\s+\*\*{ID}")
_STEP = re.compile(r"\b(?:given|when|then)\b")
_CODE = re.compile(r"(?<!`)(`++)((?:[^`\n]|\n(?![ \t]*\n))++)\1(?!`)")
_LINK = re.compile(
    r"\]\(\s*(?:<([^<>\n]*)>|([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*))[^()\n]*\)|^ {0,3}\[[^\]\n]+\]:\s+(\S+)",
    re.MULTILINE,
)
_HEADING = re.compile(r"#{1,6} (.*)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_URL = re.compile(r"\bhttps?://[^\s)>\]]+")
_NOT_NUMBERS = re.compile(rf"{_URL.pattern}|\]\([^()\n]*\)|{_ID.pattern}")


@dataclass(frozen=True)
class _Page:
    """A spec, its path, and its text from the line ``spec.start`` on with blanks in place of code."""

    path: str
    spec: Spec
    prose: str

    def finding(self, rule: str, line: int, message: str) -> Finding:
        return Finding(rule, message, RULES[rule].fix, self.path, line)

    def line_at(self, offset: int) -> int:
        return self.spec.start + 1 + self.prose.count("\n", 0, offset)


@dataclass(frozen=True)
class _Ids:
    """The places that define the requirements of specs that are not superseded, and the ids of all specs."""

    first: Mapping[str, tuple[str, int]]
    known: frozenset[str]
    families: frozenset[str]


def lint(specs: Mapping[str, bytes], *, exists: Callable[[str], bool]) -> tuple[Finding, ...]:
    """Return the findings in ``specs`` (path to content), sorted by path, line and rule; raises nothing.

    ``exists`` returns whether the repository has a path. The wording of superseded specs is not checked.
    """
    found: list[Finding] = []
    pages: list[_Page] = []
    for path in sorted(specs):
        spec = examine(specs[path])
        if isinstance(spec, Fault):
            found.append(Finding("spec.unreadable", spec.message, RULES["spec.unreadable"].fix, path, spec.line))
        else:
            pages.append(_Page(path, spec, _prose(spec)))
    ids = _ids(pages)
    for page in pages:
        found += _form(page)
        found += _hidden_text(page)
        found += _duplicates(page, ids)
        found += _links(page, exists)
        if page.spec.status != "superseded":
            found += _requirements(page)
            found += _dangling(page, ids)
            found += _wording(page)
    found += _same_spec(pages)
    return tuple(sorted(set(found), key=lambda item: (item.path, item.line, item.rule, item.message)))


def _prose(spec: Spec) -> str:
    hidden = spec.blocks.unread
    lines = ["" if index in hidden else spec.lines[index] for index in range(spec.start, len(spec.lines))]
    text = "\n".join(lines)
    return _CODE.sub(_blank, text) if "`" in text else text


def _blank(match: "re.Match[str]") -> str:
    return "".join("\n" if char == "\n" else " " for char in match.group())


def _ids(pages: Sequence[_Page]) -> _Ids:
    first: dict[str, tuple[str, int]] = {}
    known: set[str] = set()
    for page in pages:
        for requirement in page.spec.requirements:
            known.add(requirement.id)
            if page.spec.status != "superseded":
                first.setdefault(requirement.id, (page.path, requirement.line))
    return _Ids(first, frozenset(known), frozenset(name.rsplit("-", 1)[0] for name in known))


def _form(page: _Page) -> Iterator[Finding]:
    spec = page.spec
    if posixpath.basename(page.path) != f"{spec.id}.md":
        yield page.finding("spec.name", 1, f"the id is {spec.id}, so the file must be specs/{spec.id}.md")
    seen: set[str] = set()
    for part in spec.parts:
        if part.name not in PARTS:
            yield page.finding("spec.part-unknown", part.line, f"{part.name!r} is not one of {', '.join(PARTS)}")
        elif part.name in seen:
            yield page.finding("spec.part-repeated", part.line, f"the part {part.name} appears more than once")
        elif not part.text:
            yield page.finding("spec.part-empty", part.line, f"the part {part.name} is empty")
        seen.add(part.name)
    for name in PARTS:
        if name not in seen:
            yield page.finding("spec.part-missing", 0, f"the part {name} is missing: add the heading `## {name}`")
    for requirement in spec.requirements:
        if not requirement.text:
            yield page.finding("spec.requirement-empty", requirement.line, f"{requirement.id} has no text")
    read = {item.line for item in spec.requirements} | {item.line for item in spec.scenarios}
    for number, line in enumerate(page.prose.split("\n"), spec.start + 1):
        if "-" in line and number not in read and _LIKE_ITEM.match(line):
            yield page.finding(
                "spec.id-form", number, "the line begins with an id, but is neither a requirement nor a scenario"
            )


def _hidden_text(page: _Page) -> Iterator[Finding]:
    for index in sorted(page.spec.blocks.in_item):
        yield page.finding("spec.hidden-text", index + 1, "the agent would read text that the page does not show")


def _duplicates(page: _Page, ids: _Ids) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for requirement in page.spec.requirements:
        path, line = ids.first.get(requirement.id, (page.path, requirement.line))
        if requirement.id in seen:
            path, line = page.path, seen[requirement.id]
        elif page.spec.status == "superseded" or (path, line) == (page.path, requirement.line):
            seen[requirement.id] = requirement.line
            continue
        message = f"{requirement.id} is already defined in {path}:{line}"
        yield page.finding("spec.duplicate-id", requirement.line, message)
        seen.setdefault(requirement.id, requirement.line)


def _same_spec(pages: Sequence[_Page]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for page in pages:
        path = first.setdefault(page.spec.id, page.path)
        if path != page.path:
            yield page.finding("spec.duplicate-id", 1, f"{path} already has the id {page.spec.id}")


def _requirements(page: _Page) -> Iterator[Finding]:
    spec = page.spec
    if not spec.requirements:
        yield page.finding("spec.no-requirements", 0, "the spec has no requirement")
    own = {requirement.id for requirement in spec.requirements}
    shown = {scenario.requirement for scenario in spec.scenarios}
    for requirement in spec.requirements:
        if requirement.id not in shown:
            yield page.finding("spec.no-scenario", requirement.line, f"{requirement.id} has no scenario")
    for scenario in spec.scenarios:
        if scenario.requirement not in own:
            message = f"the scenario names {scenario.requirement}, which is not a requirement of this spec"
            yield page.finding("spec.no-requirement", scenario.line, message)
        steps = iter(_STEP.findall(scenario.text.lower()))
        if not all(step in steps for step in ("given", "when", "then")):
            message = f"the scenario of {scenario.requirement} does not have the form Given, When, Then"
            yield page.finding("spec.scenario-form", scenario.line, message)


def _dangling(page: _Page, ids: _Ids) -> Iterator[Finding]:
    """Yield a finding for each undefined id; a name such as UTF-8 is not an id, because no spec has its prefix."""
    scenes = {scenario.line for scenario in page.spec.scenarios}
    for match in _ID.finditer(page.prose):
        name = match.group()
        if name not in ids.known and name.rsplit("-", 1)[0] in ids.families:
            line = page.line_at(match.start())
            if line not in scenes or not page.spec.lines[line - 1].startswith(f"- {name}:"):
                yield page.finding("spec.dangling-id", line, f"no spec defines the requirement {name}")


def _wording(page: _Page) -> Iterator[Finding]:
    spec = page.spec
    # Code and HTML are checked here too: an undecided example of the contract leaves the contract undecided.
    front = list(spec.lines[: spec.start])
    lines = page.prose.split("\n")
    hidden = spec.blocks.unread
    text = "\n".join(
        front + [spec.lines[i] if i in hidden else lines[i - spec.start] for i in range(spec.start, len(spec.lines))]
    )
    for offset, words in wording.undecided(text):
        yield page.finding("spec.undecided", text.count("\n", 0, offset) + 1, f"{words!r} marks an open decision")
    for index, word, closes in wording.vague(_NOT_NUMBERS.sub(_blank, page.prose).split("\n")):
        rule = "spec.vague-word" if closes else "spec.open-ended"
        message = f"{word!r} is vague without a number" if closes else f"{word!r} is open-ended"
        yield page.finding(rule, spec.start + 1 + index, message)


def _links(page: _Page, exists: Callable[[str], bool]) -> Iterator[Finding]:
    if "](" not in page.prose and "]:" not in page.prose:
        return
    anchors: frozenset[str] | None = None
    for match in _LINK.finditer(page.prose):
        target = next((group for group in match.groups() if group is not None), "").strip("<>")
        if _SCHEME.match(target) or target.startswith("//"):
            continue
        name, _, anchor = target.partition("#")
        line = page.line_at(match.start())
        if name:
            path = _resolved(page.path, unquote(name.partition("?")[0]))
            if path is None or not exists(path):
                yield page.finding("spec.broken-link", line, f"the link's target {name} does not exist")
        elif anchor or not target:
            anchors = _anchors(page) if anchors is None else anchors
            if unquote(anchor).lower() not in anchors:
                yield page.finding("spec.broken-link", line, f"no heading of this file has the anchor #{anchor}")


def _resolved(source: str, name: str) -> str | None:
    """Return the repository path of a link's target, or ``None`` if it is outside the repository."""
    if "\0" in name:
        return None
    path = posixpath.normpath(
        name.lstrip("/") if name.startswith("/") else posixpath.join(posixpath.dirname(source), name)
    )
    return None if path == ".." or path.startswith("../") else path


def _anchors(page: _Page) -> frozenset[str]:
    """Return GitLab's anchors of the headings (docs: GitLab Flavored Markdown, heading IDs and links)."""
    found: set[str] = set()
    hidden = page.spec.blocks.unread
    for index in range(page.spec.start, len(page.spec.lines)):
        heading = None if index in hidden else _HEADING.match(page.spec.lines[index])
        if heading is None:
            continue
        plain = heading[1].strip().rstrip("#").strip().lower()
        kept = "".join(char for char in plain if char in " -_" or unicodedata.category(char)[0] in "LNM")
        slug = re.sub(r"-+", "-", kept.replace(" ", "-"))
        name, number = slug, 0
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.add(name)
    return frozenset(found)
