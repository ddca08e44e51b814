"""Reads YAML strictly: refuses duplicate keys, tags that run code, and multiple documents."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from factory.errors import InvalidInput

Key = tuple[str | int, ...]
MERGE = "tag:yaml.org,2002:merge"
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null"))


@dataclass(frozen=True)
class Marks:
    """The positions of values: the 1-based line of each path of keys and list positions; a value has its key's line."""

    lines: Mapping[Key, int]

    def line(self, key: Key) -> int:
        """Return the line of a path, or of the nearest existing value that encloses it."""
        return next((self.lines[key[:end]] for end in range(len(key), -1, -1) if key[:end] in self.lines), 1)


@dataclass(frozen=True)
class Node:
    """A value as its text writes it; an alias is the node that it names.

    ``line`` counts from 1, ``start`` and ``end`` are positions in the text. A plain value has a ``text``, a list
    ``items``, a mapping ``pairs``.
    """

    tag: str
    line: int
    start: int
    end: int
    text: str | None = None
    items: "tuple[Node, ...]" = ()
    pairs: "tuple[tuple[Node, Node], ...]" = ()


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        if not isinstance(node, yaml.MappingNode):  # a tag may declare a list as a mapping: `!!map [1]`
            raise yaml.constructor.ConstructorError(None, None, "expected a mapping", node.start_mark)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        # PyYAML raises these errors if a tag does not match its value (`!!bool x`, `!!int ""`).
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"the value does not match its type: {error}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


class _MarkedLoader(_Loader):
    """Refuses tags of types that JSON lacks, and aliases, so that no document is larger than its text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # types-PyYAML lacks its types
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not supported; repeat the value", event.start_mark)
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in _PLAIN:
            raise _refusal(f"the type {node.tag} is not supported", node.start_mark)
        return node


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, mark)


# YAML 1.1 reads 2026-11-20 as a date; here it is a text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str, *, source: str) -> Any:
    """Return the value of one YAML document; raises ``InvalidInput`` with ``source``, line and column."""
    with _refused(text, source):
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader


def load_marked(text: str, *, source: str) -> tuple[Any, Marks]:
    """Return the value of one YAML document and the lines of its parts; raises ``InvalidInput`` as ``load`` does.

    Aliases and non-JSON types are refused.
    """
    with _refused(text, source):
        loader = _MarkedLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, Marks({})
        value = loader.construct_document(node)
        return value, Marks(dict(_lines(loader, node, (), node.start_mark.line + 1)))


def compose(text: str, *, source: str) -> Node | None:
    """Return one YAML document as it is written, with any tags, or ``None``; raises ``InvalidInput`` as ``load``."""
    with _refused(text, source):
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _node(node, {})


def _node(node: yaml.Node, known: dict[int, Node]) -> Node:
    if id(node) not in known:
        items = tuple(_node(item, known) for item in node.value) if isinstance(node, yaml.SequenceNode) else ()
        pairs: tuple[tuple[Node, Node], ...] = ()
        if isinstance(node, yaml.MappingNode):
            pairs = tuple((_node(key, known), _node(value, known)) for key, value in node.value)
        text = node.value if isinstance(node, yaml.ScalarNode) else None
        start, end = node.start_mark, node.end_mark
        known[id(node)] = Node(node.tag, start.line + 1, start.index, end.index, text, items, pairs)
    return known[id(node)]


def load_mapping(text: str, *, source: str) -> dict[str, Any]:
    """Return a YAML document that is a mapping with string keys; raises ``InvalidInput``."""
    value = load(text, source=source)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{source}: expected a mapping with text keys")
    return value


def _lines(loader: _Loader, node: yaml.Node, key: Key, line: int) -> Iterator[tuple[Key, int]]:
    yield key, line
    if isinstance(node, yaml.MappingNode):
        for name, inner in node.value:
            yield from _lines(loader, inner, (*key, loader.construct_object(name)), name.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for position, inner in enumerate(node.value):
            yield from _lines(loader, inner, (*key, position), inner.start_mark.line + 1)


@contextmanager
def _refused(text: str, source: str) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise InvalidInput(f"{where}: {error.problem or 'not YAML'}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InvalidInput(f"{source}:{line}: {error.reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or ["not YAML"])[0]
        raise InvalidInput(f"{source}: {first}") from error
