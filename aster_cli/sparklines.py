"""Series as one line of blocks; a stretch without a value is a dot, never a low block."""

from collections.abc import Callable, Sequence
from itertools import pairwise

LEVELS = "▁▂▃▄▅▆▇█"
MISSING = "·"

Join = Callable[[list[float]], float]


def mean(values: list[float]) -> float:
    """Join neighbouring stretches of a sensor."""
    # divided first: the sum of two huge numbers would be infinite
    middle = sum(value / len(values) for value in values)
    # the shares are rounded, so their sum may miss what it cannot leave
    return min(max(middle, min(values)), max(values))


def fit(series: Sequence[float | None], width: int, join: Join) -> list[float | None]:
    """Join neighbouring values until the series is `width` long; a longer one keeps its length.

    Args:
        series: Values; None where there is none.
        width: Characters.
        join: Makes one value of those that share a character: `mean`, or `max` where no single
            value may vanish.
    """
    n = min(width, len(series))
    edges = [round(len(series) * place / max(n, 1)) for place in range(n + 1)]
    parts = [
        [value for value in series[start:stop] if value is not None]
        for start, stop in pairwise(edges)
    ]
    return [join(part) if part else None for part in parts]


def sparkline(
    series: Sequence[float | None],
    width: int,
    *,
    join: Join = mean,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Draw a series between its own extremes, or between `low` and `high`.

    A constant series lies at the bottom.
    """
    values = fit(series, width, join)
    known = [value for value in values if value is not None]
    low = min(known, default=0.0) if low is None else low
    high = max(known, default=0.0) if high is None else high
    # halved: the difference of two huge numbers would be infinite
    half = high / 2 - low / 2

    def block(value: float | None) -> str:
        if value is None:
            return MISSING
        part = (value / 2 - low / 2) / half if half > 0 else 0.0
        return LEVELS[min(max(int(part * len(LEVELS)), 0), len(LEVELS) - 1)]

    return "".join(map(block, values))
