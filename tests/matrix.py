"""Draws the rows of a test that runs over a large matrix: a few by a seed, which is another one each day.

`@pytest.mark.matrix(n)` runs n rows of the test, `@pytest.mark.matrix(n, group="flows")` n of all tests of that group.
`make soak` runs every row.
"""

import os
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

_ROWS = 10


class Row(NamedTuple):
    """One row: the matrix that it belongs to, its node id, and how many rows of the matrix run."""

    group: str
    id: str
    size: int


def seed() -> int:
    """Return $SEED, or the number of the day."""
    return int(os.environ.get("SEED") or datetime.now(UTC).toordinal())


def size(item: pytest.Item) -> int:
    """Return how many rows of an item's test run; 0 if it is no matrix."""
    mark = item.get_closest_marker("matrix")
    return 0 if mark is None else int(mark.args[0] if mark.args else _ROWS)


def group(item: pytest.Item) -> str:
    """Return the name of the matrix that an item is a row of."""
    mark = item.get_closest_marker("matrix")
    return str(mark.kwargs.get("group", "")) or item.nodeid.partition("[")[0] if mark else ""


def drawn(rows: Iterable[Row], number: int) -> Sequence[str]:
    """Return the node ids of the rows that run: the first ones of an order that the seed ``number`` gives."""
    matrices: dict[str, list[Row]] = {}
    for row in sorted(rows):
        matrices.setdefault(row.group, []).append(row)
    return [row.id for name, found in matrices.items() for row in some(found, found[0].size, f"{number} {name}")]


def some(found: Sequence[Any], size: int, seed_text: str) -> list[Any]:
    """Return ``size`` of the values, in an order that the seed gives."""
    order = list(found)
    random.Random(seed_text).shuffle(order)
    return order[:size]
