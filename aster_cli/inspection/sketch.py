"""The course of every sensor in a bounded number of stretches, machine by machine.

A stretch keeps each sensor's mean, lowest and highest value, so no single row can vanish in it. When
a machine fills its stretches, neighbours are joined two by two: how wide they are depends on nothing
but the machine's number of rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.inspection.steps import moment
from aster_cli.results import FloatArray, LogBatch, MachineId
from aster_cli.schema import TimeKind

STRETCHES = 1024
"""Stretches of a machine, at most."""

MACHINES = 16
"""Machines that are followed: the log's first. It bounds the memory."""


@dataclass(frozen=True, slots=True)
class Course:
    """One machine's course.

    Attributes:
        machine: Whose it is.
        rows: Rows of a stretch; the last may have fewer.
        mean: ``(stretch, sensor)`` NaN where no cell has a value.
        low: The lowest value, likewise.
        high: The highest value, likewise.
        starts: The timestamp of each stretch's first row, as text.
        ends: That of its last row.
        gaps: Whether a gap lies before one of its rows.
    """

    machine: MachineId
    rows: int
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    gaps: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of stretches."""
        return len(self.starts)


class Sketch:
    """Follows the machines' courses, whatever batches their rows come in.

    Args:
        n_sensors: Values of a row.
        kind: What the log takes as time.
        stretches: At most for each machine; an even number.
        machines: At most.
    """

    def __init__(
        self,
        n_sensors: int,
        kind: TimeKind,
        stretches: int = STRETCHES,
        machines: int = MACHINES,
    ) -> None:
        self._n_sensors = n_sensors
        self._kind = kind
        self._stretches = stretches
        self._most = machines
        self._machines: dict[MachineId, _Slots] = {}

    def take(self, batch: LogBatch) -> None:
        """Take the next rows."""
        for machine, places in batch.by_machine():
            slots = self._machines.get(machine)
            if slots is None:
                if len(self._machines) >= self._most:
                    continue
                slots = self._machines[machine] = _Slots(self._stretches, self._n_sensors)
            slots.take(batch, places, self._kind)

    def courses(self, longest_step: float = np.inf) -> tuple[Course, ...]:
        """What the rows came to; the log has ended.

        Args:
            longest_step: In units of the clock; a longer one is a gap.
        """
        return tuple(
            slots.course(machine, longest_step) for machine, slots in self._machines.items()
        )


class _Slots:
    """A machine's stretches so far."""

    def __init__(self, stretches: int, n_sensors: int) -> None:
        shape = (stretches, n_sensors)
        self._seen = 0
        self._width = 1
        self._known = np.zeros(shape, dtype=np.int64)
        self._sum = np.zeros(shape)
        self._low = np.full(shape, np.nan)
        self._high = np.full(shape, np.nan)
        self._step = np.full(stretches, -np.inf)  # the longest to one of its rows
        self._last: int | float | None = None  # time of the last row
        self._starts = [""] * stretches
        self._ends = [""] * stretches

    def take(self, batch: LogBatch, places: NDArray[np.int64], kind: TimeKind) -> None:
        """Take the next rows of this machine."""
        while (self._seen + len(places) - 1) // self._width >= len(self._starts):
            self._halve()
        slots = (self._seen + np.arange(len(places))) // self._width
        present, first = np.unique(slots, return_index=True)
        last = np.append(first[1:], len(places)) - 1
        values, time = batch.values[places], batch.time[places]
        steps = np.diff(time, prepend=time[0] if self._last is None else self._last)
        self._last = time[-1].item()
        longest = np.maximum.reduceat(steps, first)
        self._step[present] = np.maximum(self._step[present], longest)
        known = ~np.isnan(values)
        with np.errstate(over="ignore", invalid="ignore"):
            self._known[present] += np.add.reduceat(known.astype(np.int64), first, axis=0)
            self._sum[present] += np.add.reduceat(np.where(known, values, 0.0), first, axis=0)
            low = np.fmin.reduceat(values, first, axis=0)
            high = np.fmax.reduceat(values, first, axis=0)
            self._low[present] = np.fmin(self._low[present], low)
            self._high[present] = np.fmax(self._high[present], high)
        for slot, start, end in zip(present.tolist(), first.tolist(), last.tolist(), strict=True):
            if self._starts[slot] == "":
                self._starts[slot] = moment(batch, int(places[start]), kind)
            self._ends[slot] = moment(batch, int(places[end]), kind)
        self._seen += len(places)

    def _halve(self) -> None:
        """Join neighbours; the second half is empty then."""
        half = len(self._starts) // 2

        def joined(join: np.ufunc, old: NDArray, empty: float) -> NDArray:  # type: ignore[type-arg]
            new = np.full_like(old, empty)
            new[:half] = join(old[0::2], old[1::2])
            return new

        with np.errstate(over="ignore", invalid="ignore"):
            self._step = joined(np.maximum, self._step, -np.inf)
            self._known = joined(np.add, self._known, 0)
            self._sum = joined(np.add, self._sum, 0.0)
            self._low = joined(np.fmin, self._low, np.nan)
            self._high = joined(np.fmax, self._high, np.nan)
        ends = [
            second or first for first, second in zip(self._ends[::2], self._ends[1::2], strict=True)
        ]
        self._starts = self._starts[::2] + [""] * half
        self._ends = ends + [""] * half
        self._width *= 2

    def course(self, machine: MachineId, longest_step: float) -> Course:
        """The stretches that have rows."""
        n = -(-self._seen // self._width)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sum[:n] / self._known[:n]
        return Course(
            machine=machine,
            rows=self._width,
            mean=mean,
            low=self._low[:n],
            high=self._high[:n],
            starts=tuple(self._starts[:n]),
            ends=tuple(self._ends[:n]),
            gaps=self._step[:n] > longest_step,
        )
