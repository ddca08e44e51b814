"""Draws the rows of a test that runs over a large matrix: a few by a seed, which is another one each day.

`@pytest.mark.matrix(n)` runs n rows of the test; `make soak` runs every row.
"""

import os
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

_ROWS = 10


def seed() -> int:
    """Return $SEED, or the number of the day."""
    return int(os.environ.get("SEED") or datetime.now(UTC).toordinal())


def size(item: pytest.Item) -> int:
    """Return how many rows of an item's test run; 0 if it is no matrix."""
    mark = item.get_closest_marker("matrix")
    return 0 if mark is None else int(mark.args[0] if mark.args else _ROWS)


def drawn(rows: Iterable[tuple[str, int]], number: int) -> Sequence[str]:
    """Return the rows that run, by test: the first ones of an order that the seed ``number`` gives.

    Each row is its node id and how many rows of its test run.
    """
    tests: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        tests.setdefault(row[0].partition("[")[0], []).append(row)
    found: list[str] = []
    for name, these in tests.items():
        order = sorted(these)
        random.Random(f"{number} {name}").shuffle(order)
        found += [row for row, count in order[: these[0][1]]]
    return found
