"""Changes of unit: a sensor that goes on as a multiple of what it was, for good or there and back.

A change of unit splits a sensor's course at a level that it crosses once or twice, and nothing of it
is left once the second part is converted to the unit of the first: both have one range then, one
spread, and no step between them. A process that changes by itself keeps its spread, or drifts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aster_cli.inspection.sketch import Course
from aster_cli.results import FloatArray
from aster_cli.wording import moment

_STRETCHES = 40  # at least, to see two units in
_SHARE = 0.05  # of them in the rarer unit, at least
_SMOOTHED = 3  # stretches that a median takes in: one alone that is far out changes nothing
_CLEAR = 2  # stretches of either unit throughout, at least
_SIDE = 5  # stretches on either side of a step that tell how high it is
_LEAST_RATIO = 1.5  # kilometres and miles are 1.6
_NEAR = 1.25  # how far its estimates may be apart
_SPREAD = 1.6  # how far the spread's ratio is from that of the units, at most
_PAD = 1.0  # how far one part may leave the range of the other, in widths of it
_INSIDE = 0.95  # of the shorter part, at least


class _Change(NamedTuple):
    """What makes the second unit of the first: ``ratio * value + offset``."""

    ratio: float
    offset: float = 0.0
    name: str = ""


_TEMPERATURES = (
    _Change(1.8, 32.0, "Fahrenheit in place of Celsius"),
    _Change(1 / 1.8, -32.0 / 1.8, "Celsius in place of Fahrenheit"),
    _Change(1.0, 273.15, "Kelvin in place of Celsius"),
    _Change(1.0, -273.15, "Celsius in place of Kelvin"),
    _Change(1.8, -459.67, "Fahrenheit in place of Kelvin"),
    _Change(1 / 1.8, 459.67 / 1.8, "Kelvin in place of Fahrenheit"),
)


class _Split(NamedTuple):
    """A sensor's course in two parts.

    Attributes:
        values: ``(stretch,)`` means, smoothed.
        second: The stretches of the second part; the first lies before it, and after it if it ends.
        clear: The stretches that are of one part throughout.
        changes: Where the second part starts, and where it ends if it does.
    """

    values: FloatArray
    second: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    changes: list[int]

    def parts(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of stretches, by part."""
        return values[self.clear & ~self.second], values[self.clear & self.second]


def find_unit_jumps(course: Course) -> Iterator[tuple[int, str]]:
    """Sensors that change their unit once, or there and back.

    Yields:
        The sensor's position, and what it does.
    """
    for sensor in range(course.mean.shape[1]):
        known = np.flatnonzero(np.isfinite(course.mean[:, sensor]))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            split = _split(course.mean[known, sensor])
            if split is None:
                continue
            spread = _spread(split, course.low[known, sensor], course.high[known, sensor])
            changes = (*_scales(split), *_TEMPERATURES)
            fitting = [one for one in changes if _scales_spread(one, spread) and _fits(one, split)]
            change = min(fitting, key=lambda one: abs(np.log(spread / one.ratio)), default=None)
        if change is not None:
            yield (
                sensor,
                _told(change, split, [moment(course.starts[known[i]]) for i in split.changes]),
            )


def _split(values: FloatArray) -> _Split | None:
    """Split a course at the widest gap between its values that it crosses once or twice."""
    n = len(values)
    if n < _STRETCHES:
        return None
    padded = np.pad(values, _SMOOTHED // 2, mode="edge")
    values = np.median(sliding_window_view(padded, _SMOOTHED), axis=1)
    ordered = np.sort(values)
    low, high = np.minimum(values[:-1], values[1:]), np.maximum(values[:-1], values[1:])
    crossed = np.searchsorted(np.sort(low), ordered, side="right")
    crossed -= np.searchsorted(np.sort(high), ordered, side="right")
    rank = np.arange(1, n)
    splits = (crossed[:-1] <= 2) & (np.minimum(rank, n - rank) >= _SHARE * n)
    gaps = np.where(splits, np.diff(ordered), 0.0)
    above = values > ordered[gaps.argmax()]
    changes = np.flatnonzero(np.diff(above)) + 1
    if not gaps.any() or changes[0] <= _SIDE or changes[-1] >= n - _SIDE:
        return None
    clear = np.ones(n, dtype=bool)
    clear[changes] = clear[changes - 1] = False
    split = _Split(values, above != above[0], clear, changes.tolist())
    return split if min(map(len, split.parts(values))) >= _CLEAR else None


def _spread(split: _Split, low: FloatArray, high: FloatArray) -> float:
    """How many times as far the second part swings between neighbouring stretches as the first."""
    swing = np.maximum(high[:-1], high[1:]) - np.minimum(low[:-1], low[1:])
    first, second = split.parts(np.append(swing, swing[-1]))
    if np.median(first) > 0 and np.median(second) > 0:
        return float(np.median(second) / np.median(first))
    first, second = split.parts(split.values)
    return float(np.std(second) / np.std(first))


def _scales(split: _Split) -> Iterator[_Change]:
    """What the second part may be times the first: of all their values, and of those at the change.

    The latter is closer where a sensor drifts.
    """
    values = split.values
    if not (np.all(values > 0) or np.all(values < 0)):
        return
    first, second = split.parts(values)
    start = split.changes[0]
    before, after = values[start - 1 - _SIDE : start - 1], values[start + 1 : start + 1 + _SIDE]
    whole, near = np.median(second) / np.median(first), np.median(after) / np.median(before)
    for ratio in (whole, near):
        if abs(np.log(ratio)) > np.log(_LEAST_RATIO) and abs(np.log(ratio / whole)) < np.log(_NEAR):
            yield _Change(float(ratio))


def _scales_spread(change: _Change, spread: float) -> bool:
    """Whether the spread changes as the unit does, and not as that of a level that shifts."""
    most = np.log(_SPREAD)
    if not change.offset:
        most = min(most, abs(np.log(change.ratio)) / 2)
    return bool(abs(np.log(spread / change.ratio)) < most)


def _fits(change: _Change, split: _Split) -> bool:
    """Whether a converted second part goes on as the first part does."""
    converted = np.where(split.second, (split.values - change.offset) / change.ratio, split.values)
    short, long = sorted(split.parts(converted), key=len)
    pad = _PAD * np.ptp(long)
    inside = (short >= long.min() - pad) & (short <= long.max() + pad)
    if inside.mean() < _INSIDE:
        return False
    # a step's height: the median after it less the median before it, without the stretches between
    level = np.median(sliding_window_view(converted, _SIDE), axis=1)
    height = np.abs(level[_SIDE + 2 :] - level[: -_SIDE - 2])
    place = np.arange(len(height)) + _SIDE + 1
    near = np.abs(place[:, None] - split.changes)
    changes = height[(near == 0).any(axis=1)]
    return bool(changes.max() <= height[(near > _SIDE + 1).all(axis=1)].max(initial=0.0))


def _told(change: _Change, split: _Split, starts: list[str]) -> str:
    """What a sensor does, in words."""
    first, second = (float(np.median(part)) for part in split.parts(split.values))
    ratio = change.ratio
    times = f"{_short(ratio)} times" if ratio >= 1 else f"1/{_short(1 / ratio)} of"
    until = "on" if len(starts) == 1 else f"until {starts[1]}"
    what = (
        change.name
        or f"about {times} what it {'was before' if len(starts) == 1 else 'is otherwise'}"
    )
    return f"from {starts[0]} {until} {what} ({_short(first)}, then {_short(second)})"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
