"""One machine's rows into segments without gaps, with its missing cells filled.

A cell is filled only from a neighbour at most ``max_gap`` sampling periods away; a row that still
lacks a cell is *missing* and left out. A segment ends where the step between two rows that are left
is longer than ``max_gap`` periods. Both rules read the clock, never row numbers, and hold however
the rows arrive: a `Segmenter` fed row by row gives what it gives when fed all at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.config import MissingPolicy
from aster_cli.results import Clock, FloatArray, Snapshot

_TOLERANCE = 1e-9  # of a period: a step of exactly max_gap periods is no gap, also in floats


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """Rows that are ready for windows, and the numbers of those that are not.

    Attributes:
        numbers: ``(row,)`` row numbers in the log.
        values: ``(row, sensor)`` float64 without missing cells.
        opens: ``(row,)`` bool, whether the row is the first of a segment.
        missing: Row numbers that were left out.
    """

    numbers: NDArray[np.int64]
    values: FloatArray
    opens: NDArray[np.bool_]
    missing: NDArray[np.int64]


class Segmenter:
    """Prepares one machine's rows, batch after batch.

    Args:
        n_sensors: The width of every row.
        longest: The longest step that is no gap, in units of the clock.
        policy: How a missing cell is filled; ``interpolate`` holds rows back until it can look
            `longest` ahead.
    """

    def __init__(self, n_sensors: int, longest: float, policy: MissingPolicy) -> None:
        self._longest = longest * (1.0 + _TOLERANCE)
        self._policy = policy
        # the last valid value of every sensor and when it was seen
        self._known = np.full(n_sensors, np.nan)
        self._known_at = np.full(n_sensors, -np.inf)
        self._origin: float | int | None = None  # keeps nanoseconds exact in float64
        self._last_time = -np.inf  # of the last row that was not left out
        self._held: tuple[NDArray[np.int64], FloatArray, FloatArray] | None = None

    def push(self, numbers: NDArray[np.int64], time: Clock, values: FloatArray) -> PreparedRows:
        """Take the next rows, times rising, and return those that are decided."""
        if self._origin is None and len(time):
            self._origin = time[0]
        clock = (time - (self._origin or 0)).astype(np.float64)
        if self._policy != "interpolate":
            return self._prepare(numbers, clock, values, len(clock))
        if self._held is not None:
            numbers = np.concatenate((self._held[0], numbers))
            clock = np.concatenate((self._held[1], clock))
            values = np.concatenate((self._held[2], values))
        decided = 0 if len(clock) == 0 else int(np.searchsorted(clock, clock[-1] - self._longest))
        self._held = (numbers[decided:], clock[decided:], values[decided:])
        return self._prepare(numbers, clock, values, decided)

    def finish(self) -> PreparedRows:
        """Return the rows held back; the log has ended."""
        if self._held is None:
            none = np.zeros(0, dtype=np.int64)
            return self._prepare(none, np.zeros(0), np.zeros((0, len(self._known))), 0)
        numbers, clock, values = self._held
        self._held = None
        return self._prepare(numbers, clock, values, len(clock))

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here."""
        return {
            "known": self._known.copy(),
            "known_at": self._known_at.copy(),
            "origin": None if self._origin is None else np.asarray(self._origin).item(),
            "last_time": float(self._last_time),
            "held": None if self._held is None else [part.copy() for part in self._held],
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        self._known, self._known_at = snapshot["known"], snapshot["known_at"]
        self._origin, self._last_time = snapshot["origin"], snapshot["last_time"]
        held = snapshot["held"]
        self._held = None if held is None else (held[0], held[1], held[2])

    def _prepare(
        self, numbers: NDArray[np.int64], clock: FloatArray, values: FloatArray, decided: int
    ) -> PreparedRows:
        """Fill, leave out and cut the first `decided` rows; the others only lend their values."""
        filled = values if self._policy == "drop" else self._fill(clock, values)
        self._remember(clock[:decided], values[:decided])
        numbers, clock, filled = numbers[:decided], clock[:decided], filled[:decided]
        whole = ~np.isnan(filled).any(axis=1)
        kept = clock[whole]
        opens = np.diff(kept, prepend=self._last_time) > self._longest
        if len(kept):
            self._last_time = kept[-1]
        return PreparedRows(numbers[whole], filled[whole], opens, numbers[~whole])

    def _fill(self, clock: FloatArray, values: FloatArray) -> FloatArray:
        """Fill missing cells from the neighbours that are near enough in time."""
        missing = np.isnan(values)
        if not missing.any():
            return values
        # row 0 of the extended arrays is what is known from before
        source = np.vstack((self._known, values))
        at = np.vstack((self._known_at, np.repeat(clock[:, None], values.shape[1], axis=1)))
        place = np.arange(len(source))[:, None]
        known = ~np.isnan(source)
        before = np.maximum.accumulate(np.where(known, place, 0), axis=0)[1:]
        earlier = np.take_along_axis(source, before, axis=0)
        age = clock[:, None] - np.take_along_axis(at, before, axis=0)
        near_before = age <= self._longest
        if self._policy == "previous":
            usable, estimate = near_before, earlier
        else:
            last = len(source) - 1
            after = np.minimum.accumulate(np.where(known, place, last)[::-1], axis=0)[::-1][1:]
            later = np.take_along_axis(source, after, axis=0)
            wait = np.take_along_axis(at, after, axis=0) - clock[:, None]
            usable = near_before & (wait <= self._longest) & ~np.isnan(later)
            with np.errstate(invalid="ignore"):
                estimate = earlier + (later - earlier) * age / (age + wait)
        return np.where(missing & usable, estimate, values)

    def _remember(self, clock: FloatArray, values: FloatArray) -> None:
        """Keep every sensor's last valid value."""
        known = ~np.isnan(values)
        seen = known.any(axis=0)
        last = len(values) - 1 - known[::-1].argmax(axis=0) if len(values) else seen.astype(int)
        sensors = np.flatnonzero(seen)
        self._known[sensors] = values[last[sensors], sensors]
        self._known_at[sensors] = clock[last[sensors]]


def median_step(clocks: list[Clock]) -> float | None:
    """The median positive step over several machines, in units of the clock; None without one."""
    steps = [np.diff(clock) for clock in clocks if len(clock) > 1]
    pooled = np.concatenate(steps) if steps else np.zeros(0)
    pooled = pooled[pooled > 0]
    return float(np.median(pooled)) if len(pooled) else None
