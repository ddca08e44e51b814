"""Times of a thing and of its bare baseline, measured in turn, as one row of `make bench`."""

import statistics
from collections.abc import Sequence


def row(what: str, pairs: Sequence[tuple[float, float]], limit: float) -> dict[str, object]:
    """Return medians of pairs of seconds (thing, baseline), the median ratio, and whether it is within limit."""
    ratios = [one / other for one, other in pairs]
    return {
        "what": what,
        "seconds": round(statistics.median(one for one, _ in pairs), 3),
        "baseline": round(statistics.median(other for _, other in pairs), 3),
        "ratio": round(statistics.median(ratios), 2),
        "spread": f"{min(ratios):.2f}-{max(ratios):.2f}",
        "limit": limit,
        "holds": statistics.median(ratios) <= limit,
    }
