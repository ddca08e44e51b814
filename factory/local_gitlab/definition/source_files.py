"""Reads the files of a pipeline definition, and hides their conditions from the program that joins them."""

import bisect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput
from factory.local_gitlab.definition import conditions, keywords
from factory.local_gitlab.serving.git import Repository
from factory.system import canonical, strict_yaml
from factory.system.strict_yaml import Node

_MOST_FILES, _LARGEST = 150, 256 * 1024
_CONTENTS: dict[tuple[Path, str, str], bytes | None] = {}
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_SYMBOL = re.compile(r":\w")
_TRUE, _FALSE = '"1" == "1"', '"1" == "0"'


@dataclass(frozen=True)
class Source:
    """The repository and commits of a pipeline's definition and code; ``of_request``: a merge request's pipeline.

    ``compare_sha`` is the commit with which ``rules:changes`` compare, or ``None`` if every path counts as changed:
    the first push of a branch, a tag, a schedule, a start by the API (docs: rules:changes).
    """

    repository: Repository
    config_file: str
    config_sha: str
    sha: str
    compare_sha: str | None
    of_request: bool = False


@dataclass(frozen=True)
class Definition:
    """One file of a definition: its text, and the value that the text writes, without its ``!reference`` tags."""

    text: str
    document: Node | None
    values: Mapping[str, Any]


def parse_config_path(setting: str | None) -> tuple[str, str | None, str | None]:
    """Split the project setting ``ci_config_path`` into file, project path and ref (docs: custom CI/CD file)."""
    if not setting:
        return ".gitlab-ci.yml", None, None
    name, _, elsewhere = setting.partition("@")
    project, _, ref = elsewhere.partition(":")
    return name, project or None, ref or None


def read(repository: Repository, sha: str, name: str) -> Definition | None:
    """Return a file of a definition, or ``None`` if it does not exist.

    Raises ``InvalidInput`` for bad YAML, and for keywords that are not honoured.
    """
    key = (repository.path, sha, name)
    if key not in _CONTENTS:
        _CONTENTS[key] = repository.read(sha, name)
    content = _CONTENTS[key]
    if content is None:
        return None
    return _parsed(content, name)


@lru_cache(maxsize=32)
def _parsed(content: bytes, name: str) -> Definition:
    """Return a file's definition; a pipeline asks for it several times, and the next one mostly for the same bytes."""
    if len(content) > _LARGEST:
        raise InvalidInput(f"{name}: the file has {len(content)} bytes; the loopback GitLab reads {_LARGEST}")
    text = content.decode(errors="replace")
    document = strict_yaml.compose(text, source=name)
    plain = _without_symbols(text, document)
    if plain != text:
        text, document = plain, strict_yaml.compose(plain, source=name)
    if document is None or document.items or document.text is not None:
        raise InvalidInput("Invalid configuration format")
    values = strict_yaml.load_mapping(without_references(text, document), source=name)
    keywords.refuse(document, name)
    return Definition(text, document, values)


def workflow_rules(definition: Definition, name: str) -> Any:
    """Return a definition's ``workflow:rules``, or ``None``; raises ``InvalidInput``."""
    workflow = definition.values.get("workflow") or {}
    if not isinstance(workflow, Mapping):
        raise InvalidInput(f"{name}: workflow should be a hash")
    return workflow.get("rules")


@dataclass(frozen=True)
class Files:
    """A definition's files, each ``if`` of which is replaced, the expressions by their replacements, the defaults."""

    texts: Mapping[str, str]
    hidden: Mapping[str, str]
    default: Mapping[str, Any]


def read_all(source: Source, known: Mapping[str, str]) -> Files:
    """Return the definition's files; raises ``InvalidInput``.

    The main file's ``workflow`` replaces that of an included file (docs: include, override). One file has ``default``.
    """
    texts: dict[str, str] = {}
    hidden: dict[str, str] = {}
    found: dict[str, Definition] = {}
    waiting = [source.config_file]
    while waiting:
        name = waiting.pop(0)
        if name in texts:
            continue
        if len(texts) >= _MOST_FILES:
            raise InvalidInput(f"more than {_MOST_FILES} files are included")
        one = read(source.repository, source.config_sha, name)
        if one is None:
            raise InvalidInput(f"Local file `{name}` does not exist!")
        texts[name], found[name] = _neutral(one, known, hidden), one
        waiting += _included(one.values.get("include"))
    main, *others = found
    for name in others if "workflow" not in found[main].values else ():
        if "workflow" in found[name].values:
            line = _line(found[name], "workflow")
            raise InvalidInput(f"{name}:{line}: `workflow` is read from the main file only; write it there")
    having = [name for name, one in found.items() if "default" in one.values]
    if having[1:]:
        line = _line(found[having[1]], "default")
        raise InvalidInput(f"{having[1]}:{line}: `default` stands in {having[0]} too; write it in one file")
    return Files(texts, hidden, (found[having[0]].values["default"] or {}) if having else {})


def _line(found: Definition, keyword: str) -> int:
    return next(key.line for key, _ in (found.document.pairs if found.document else ()) if key.text == keyword)


def _included(value: Any) -> list[str]:
    """Return the local files that an ``include`` names."""
    items = value if isinstance(value, list) else [value] if value else []
    names = [item.get("local") if isinstance(item, Mapping) else item for item in items]
    return [str(name).lstrip("/") for name in names if name]


def _neutral(found: Definition, known: Mapping[str, str], hidden: dict[str, str]) -> str:
    """Return a file's text with a constant for each ``if`` and without comments, some of which gitlab-ci-local reads.

    An include's rules are decided by the variables ``known``; ``hidden`` gets the other expressions by their constants.
    """
    pairs = found.document.pairs if found.document else ()
    includes = {id(node) for key, value in pairs if key.text == "include" for node in _ifs(value)}
    changes = dict.fromkeys(_comments(found), "")
    for node in _ifs(found.document):
        expression = node.text or ""
        if id(node) in includes:
            constant = _TRUE if conditions.evaluate(expression, known) else _FALSE
        else:
            constant = f'"{canonical.digest(expression.encode())}" == "x"'
            hidden[constant] = expression
        written = found.text[node.start : node.end]
        anchor = f"{written.split()[0]} " if written.startswith("&") else ""
        changes[node.start, node.end] = f"{anchor}'{constant}'{chr(10) if written.endswith(chr(10)) else ''}"
    done, position = "", 0
    for (start, end), new in sorted(changes.items()):
        done, position = done + found.text[position:start] + new, end
    return done + found.text[position:]


def _comments(found: Definition) -> Iterator[tuple[int, int]]:
    """Yield the extent of each line that is a comment, and no line of a text of several lines."""
    spans = ((node.start, node.end) for node in _all(found.document, set()) if node.text is not None)
    several = sorted(span for span in spans if "\n" in found.text[slice(*span)])
    for line in _COMMENT.finditer(found.text):
        before = bisect.bisect_right(several, (line.start(), len(found.text))) - 1
        if before < 0 or several[before][1] <= line.start():
            yield line.span()


def _ifs(document: Node | None) -> Iterator[Node]:
    """Yield the value of each key ``if``, at any depth: what a ``!reference`` may bring into a rule, too."""
    found = {id(value): value for node in _all(document, set()) for key, value in node.pairs if key.text == "if"}
    for value in found.values():
        if value.text is None:
            raise InvalidInput(f"line {value.line}: `if` is not a text")
        yield value


def _all(node: Node | None, seen: set[int]) -> Iterator[Node]:
    """Yield each value of a document once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for item in (*node.items, *(part for pair in node.pairs for part in pair)):
        yield from _all(item, seen)


def _without_symbols(text: str, document: Node | None) -> str:
    """Return a text without the colons before keys: with them Ruby, and so GitLab, reads symbols of the same names."""
    keys = (key for node in _all(document, set()) for key, _ in node.pairs)
    for start in sorted({key.start for key in keys if _SYMBOL.match(text, key.start)}, reverse=True):
        text = text[:start] + text[start + 1 :]
    return text


def without_references(text: str, document: Node | None) -> str:
    """Return a text without its ``!reference`` tags, which stand before lists."""
    for start in sorted({node.start for node in _all(document, set()) if node.tag == "!reference"}, reverse=True):
        tag = text.index("!reference", start)
        text = text[:tag] + text[tag + len("!reference") :]
    return text
