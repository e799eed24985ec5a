"""One machine's rows on their way through windows: what waits, what is due, what is decided.

A `MachineStream` takes rows as they come, hands out the windows that are complete, takes the
network's readings of them, and releases every row once no further window will cover it. What it
holds is bounded by a window, a stride and the batch just pushed.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aster_cli.config import MissingPolicy
from aster_cli.results import Clock, FloatArray, MachineId, Snapshot, Status
from aster_cli.scaling import SensorScaling
from aster_cli.segments import PreparedRows, Segmenter
from aster_cli.windows import sliding, window_starts


@dataclass(frozen=True, slots=True)
class WindowReadings:
    """What the network reads off a batch of windows.

    Attributes:
        rows: Readings that a window gives for each of its rows, ``(window, size)`` by name.
        expected: ``(window, size, sensor)`` float32 in scaled units.
        departures: ``(window, size, sensor)`` float32, how far each sensor departs from what is expected
            there and nearby.
    """

    rows: dict[str, NDArray[np.float32]]
    expected: NDArray[np.float32]
    departures: NDArray[np.float32]

    def part(self, start: int, stop: int) -> "WindowReadings":
        """The readings of windows `start` to `stop`."""
        rows = {name: values[start:stop] for name, values in self.rows.items()}
        return WindowReadings(rows, self.expected[start:stop], self.departures[start:stop])


@dataclass(frozen=True, slots=True)
class DecidedRows:
    """Rows whose readings are final.

    Attributes:
        numbers: ``(row,)`` row numbers in the log.
        status: The status that all of them share.
        readings: ``(row,)`` float64 by name, means over the windows that speak for the row; empty
            unless `status` is ``ok``.
        actual: ``(row, sensor)`` float32 in scaled units.
        expected: The same, means over the same windows.
        departures: ``(row, sensor)`` float64, means over the same windows.
    """

    numbers: NDArray[np.int64]
    status: Status
    readings: dict[str, FloatArray]
    actual: NDArray[np.float32]
    expected: NDArray[np.float32]
    departures: FloatArray


def _unscored(numbers: NDArray[np.int64], status: Status) -> DecidedRows:
    nothing = np.zeros((0, 0), dtype=np.float32)
    return DecidedRows(numbers, status, {}, nothing, nothing, np.zeros((0, 0)))


class _OpenSegment:
    """The rows of a segment that some window may still cover, and the sums over past windows.

    Places count rows from the segment's first. Rows from `decided` on are not released yet; the
    `stride` rows before them are held too, since the window that closes the segment reads them.
    """

    def __init__(self, n_sensors: int, size: int, stride: int, readings: tuple[str, ...]) -> None:
        self.size, self.stride = size, stride
        self.held = 0  # place of the first row that is held
        self.decided = 0  # place of the first row that is not released
        self.due = 0  # place where the next anchored window starts
        self.numbers = np.zeros(0, dtype=np.int64)
        self.scaled = np.zeros((0, n_sensors), dtype=np.float32)
        self.sums = {name: np.zeros(0) for name in readings}
        self.expected = np.zeros((0, n_sensors))
        self.departures = np.zeros((0, n_sensors))
        self.counts = np.zeros(0)
        # (first row of a window, first row that it speaks for), as places
        self.handed_out: list[tuple[int, int]] = []

    @property
    def length(self) -> int:
        """Rows of the segment so far."""
        return self.held + len(self.numbers)

    def append(self, numbers: NDArray[np.int64], scaled: NDArray[np.float32]) -> None:
        """Take the segment's next rows."""
        n = len(numbers)
        self.numbers = np.concatenate((self.numbers, numbers))
        self.scaled = np.concatenate((self.scaled, scaled))
        self.sums = {k: np.concatenate((v, np.zeros(n))) for k, v in self.sums.items()}
        self.expected = np.concatenate((self.expected, np.zeros(scaled.shape)))
        self.departures = np.concatenate((self.departures, np.zeros(scaled.shape)))
        self.counts = np.concatenate((self.counts, np.zeros(n)))

    def hand_out(self, *, closing: bool) -> NDArray[np.float32]:
        """Windows that became complete, ``(window, size, sensor)``; the last one if `closing`."""
        starts = window_starts(self.length - self.due, self.size, self.stride) + self.due
        spans = [(start, start) for start in starts.tolist()]
        if spans:
            self.due = spans[-1][0] + self.stride
        covered = self.due - self.stride + self.size if self.due else 0
        if closing and self.size <= self.length and covered < self.length:
            spans.append((self.length - self.size, covered))
        self.handed_out += spans
        if not spans:
            return np.zeros((0, self.size, self.scaled.shape[1]), dtype=np.float32)
        return sliding(self.scaled, self.size)[[start - self.held for start, _ in spans]]

    def take_in(self, readings: WindowReadings) -> None:
        """Add the readings of the windows handed out, in their order."""
        for window, (start, speaks) in enumerate(self.handed_out):
            rows = slice(speaks - self.held, start + self.size - self.held)
            skipped = speaks - start
            for name, values in readings.rows.items():
                self.sums[name][rows] += values[window, skipped:]
            self.expected[rows] += readings.expected[window, skipped:]
            self.departures[rows] += readings.departures[window, skipped:]
            self.counts[rows] += 1.0
        self.handed_out = []

    def release(self, *, closing: bool, too_short: Status) -> DecidedRows:
        """Let go of rows that no further window covers."""
        if closing and self.length < self.size:
            return _unscored(self.numbers, too_short)
        rows = slice(self.decided - self.held, (self.length if closing else self.due) - self.held)
        counts = self.counts[rows]
        decided = DecidedRows(
            self.numbers[rows],
            "ok",
            {name: sums[rows] / counts for name, sums in self.sums.items()},
            self.scaled[rows].copy(),
            (self.expected[rows] / counts[:, None]).astype(np.float32),
            self.departures[rows] / counts[:, None],
        )
        self.decided = self.due
        let_go = max(self.decided - self.stride, 0) - self.held
        self.held += let_go
        self.numbers, self.scaled = self.numbers[let_go:].copy(), self.scaled[let_go:].copy()
        self.sums = {name: sums[let_go:].copy() for name, sums in self.sums.items()}
        self.expected, self.counts = self.expected[let_go:].copy(), self.counts[let_go:].copy()
        self.departures = self.departures[let_go:].copy()
        return decided

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here; no windows may be out."""
        return {
            "held": self.held,
            "decided": self.decided,
            "due": self.due,
            "numbers": self.numbers.copy(),
            "scaled": self.scaled.copy(),
            "sums": {name: sums.copy() for name, sums in self.sums.items()},
            "expected": self.expected.copy(),
            "departures": self.departures.copy(),
            "counts": self.counts.copy(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        for name, value in snapshot.items():
            setattr(self, name, value)


class MachineStream:
    """One machine's way from rows to readings.

    Args:
        machine: Whose rows these are.
        scaling: Where the machine's scaling table is found.
        n_sensors: Sensors of a row.
        size: Rows of a window.
        stride: Rows between anchored windows.
        longest: The longest step that is no gap, in units of the clock.
        missing: How missing cells are filled.
        readings: The names of what the network reads.
    """

    def __init__(
        self,
        machine: MachineId,
        *,
        scaling: SensorScaling,
        n_sensors: int,
        size: int,
        stride: int,
        longest: float,
        missing: MissingPolicy,
        readings: tuple[str, ...],
    ) -> None:
        self.machine = machine
        self._scaling = scaling
        self._segmenter = Segmenter(n_sensors, longest, missing)
        self._shape = (n_sensors, size, stride, readings)
        self._open = _OpenSegment(*self._shape)
        self._closing: list[_OpenSegment] = []
        self._any_gap = False
        self._missing: list[NDArray[np.int64]] = []

    def push(
        self, numbers: NDArray[np.int64], time: Clock, values: FloatArray
    ) -> NDArray[np.float32]:
        """Take rows; return the windows that are due, ``(window, size, sensor)``."""
        return self._hand_out(self._segmenter.push(numbers, time, values))

    def finish(self) -> NDArray[np.float32]:
        """The log has ended: return the last windows that are due."""
        windows = self._hand_out(self._segmenter.finish())
        self._closing.append(self._open)
        return np.concatenate((windows, self._open.hand_out(closing=True)))

    def take_in(self, readings: WindowReadings) -> list[DecidedRows]:
        """Take the readings of the windows last returned; return the rows decided by them.

        A segment shorter than a window has status ``gap``, or ``short`` where it is the whole log.
        """
        decided = []
        taken = 0
        open_is_closing = self._closing[-1:] == [self._open]
        segments = self._closing if open_is_closing else [*self._closing, self._open]
        for segment in segments:
            n = len(segment.handed_out)
            segment.take_in(readings.part(taken, taken + n))
            taken += n
            closing = segment is not self._open or open_is_closing
            too_short: Status = "gap" if self._any_gap else "short"
            decided.append(segment.release(closing=closing, too_short=too_short))
        decided += [_unscored(numbers, "missing") for numbers in self._missing]
        self._closing, self._missing = [], []
        if open_is_closing:
            self._open = _OpenSegment(*self._shape)
        return [rows for rows in decided if len(rows.numbers)]

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here; the readings of all windows must have been taken in."""
        return {
            "segmenter": self._segmenter.snapshot(),
            "open": self._open.snapshot(),
            "any_gap": self._any_gap,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a stream that was opened alike."""
        self._segmenter.restore(snapshot["segmenter"])
        self._open.restore(snapshot["open"])
        self._any_gap = snapshot["any_gap"]

    def _hand_out(self, rows: PreparedRows) -> NDArray[np.float32]:
        """Sort prepared rows into segments and collect the windows that are due."""
        if len(rows.missing):
            self._missing.append(rows.missing)
        due = []
        scaled = self._scaling.scale(rows.values, self.machine)
        cuts = [0, *np.flatnonzero(rows.opens).tolist(), len(scaled)]
        for start, stop in pairwise(cuts):
            if start < stop:
                if rows.opens[start]:
                    due.extend(self._close())
                self._open.append(rows.numbers[start:stop], scaled[start:stop])
        # windows of the open segment come after those of the segments closed before it
        return np.concatenate([*due, self._open.hand_out(closing=False)])

    def _close(self) -> list[NDArray[np.float32]]:
        """End the open segment, if it has rows, and open the next."""
        if not len(self._open.numbers):
            return []
        self._any_gap = True
        self._closing.append(self._open)
        windows = self._open.hand_out(closing=True)
        self._open = _OpenSegment(*self._shape)
        return [windows]
