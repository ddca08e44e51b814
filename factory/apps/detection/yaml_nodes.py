"""Finds values in a YAML document as it is written, with any tags, anchors and merge keys. Pure."""

from collections.abc import Iterator

from factory.errors import InvalidInput
from factory.system import strict_yaml
from factory.system.strict_yaml import MERGE, Node

_DEEPEST_MERGE = 8


def document(path: str, text: str) -> Node:
    """Return a document that is a mapping; raises ``InvalidInput``."""
    found = strict_yaml.compose(text, source=path)
    if found is None or found.tag != "tag:yaml.org,2002:map":
        raise InvalidInput(f"{path}: expected a mapping")
    return found


def pairs(node: Node | None, deep: int = _DEEPEST_MERGE) -> dict[str, Node]:
    """Return a mapping's values by their keys, with what its merge keys add; of another value, nothing."""
    found: dict[str, Node] = {}
    for key, value in node.pairs if node else ():
        if key.tag == MERGE:
            for merged in (*value.items, value) if deep else ():
                found = {**pairs(merged, deep - 1), **found}
        elif key.text is not None:
            found[key.text] = value
    return found


def get(node: Node | None, *keys: str) -> Node | None:
    """Return the value at a path of keys, or ``None``."""
    for key in keys:
        node = pairs(node).get(key)
    return node


def text(node: Node | None) -> str:
    """Return a plain value's text; of another value, an empty one."""
    return node.text or "" if node else ""


def texts(node: Node | None) -> Iterator[str]:
    """Yield the plain values of a list."""
    for item in node.items if node else ():
        if item.text is not None:
            yield item.text
