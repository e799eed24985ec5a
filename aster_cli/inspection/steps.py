"""Machines and their steps in time, watched while a log goes by."""

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from aster_cli.inspection.values import Gap, MachineRows
from aster_cli.results import Clock, FloatArray, LogBatch, MachineId
from aster_cli.schema import TimeKind

MEDIAN_STEPS = 1 << 20
"""Steps that are held to find their median; a longer log's period is that of its first ones."""

MACHINES = 100
"""Machines that are reported one by one."""

_LONGEST = 5  # gaps that are reported one by one
_REGULAR = 0.01  # of a period
_UNEVEN = 0.5  # of a period
_TOLERANCE = 1e-9  # of a period: a step of exactly max_gap periods is no gap, also in floats
_EPOCH = datetime(1970, 1, 1)


def moment(batch: LogBatch, row: int, kind: TimeKind) -> str:
    """A row's timestamp as text; an epoch is written out in UTC."""
    if kind == "epoch":
        return f"{_EPOCH + timedelta(microseconds=int(batch.time[row]) // 1000)} UTC"
    return str(batch.keys["timestamp"][row])


@dataclass(slots=True)
class _Machine:
    """A machine so far."""

    rows: int
    earliest: int | float
    latest: int | float
    last: int | float  # of the rows so far, not the latest where time falls
    start: str  # of the earliest
    end: str  # of the latest
    before: str  # of the last


@dataclass(frozen=True, slots=True)
class Steps:
    """All steps in time, in units of the clock.

    Attributes:
        period: The median step; None where there is no step.
        period_steps: The steps that it is the median of: the log's first.
        longest_step: A longer one is a gap; infinite where there is no period.
        total: Steps forward in all.
        gaps: Steps longer than `max_gap` periods.
        irregular: Steps more than 1 % off the period.
        longest: The longest gaps, lengths in seconds where the clock has a unit.
    """

    period: float | None
    period_steps: int
    longest_step: float
    total: int
    gaps: int
    falls: int
    repeats: int
    farthest_fall: float
    disorder: tuple[int, str] | None
    uneven: int
    irregular: int
    longest: tuple[Gap, ...]


class StepWatch:
    """Follows every machine's rows, whatever batches they come in.

    Args:
        kind: What the log takes as time.
        max_gap: Periods; a longer step is a gap.
        period: In units of the clock, where the user gave it.
    """

    def __init__(self, kind: TimeKind, max_gap: float, period: float | None) -> None:
        self._kind = kind
        self._max_gap = max_gap
        self._given = period
        self._period = period
        self._machines: dict[MachineId, _Machine] = {}
        self._held: list[FloatArray] = []  # the first steps, until their median is due
        self._held_steps = 0
        self._total = self._gaps = self._irregular = self._uneven = 0
        self._falls = self._repeats = 0
        self._farthest_fall = 0.0
        self._disorder: tuple[int, str] | None = None
        # (step, -row, machine, start, end): the heap gives up the shortest, then the latest
        self._longest: list[tuple[float, int, MachineId, str, str]] = []

    def take(self, batch: LogBatch) -> None:
        """Take the next rows."""
        steps = np.full(len(batch), np.nan)
        before = np.full(len(batch), -1)
        ends: dict[MachineId, str] = {}
        for machine, places in batch.by_machine():
            time = batch.time[places]
            seen = self._machines.get(machine)
            steps[places[1:]] = np.diff(time)
            before[places[1:]] = places[:-1]
            if seen is None:
                first = time[0].item()
                start = moment(batch, int(places[0]), self._kind)
                seen = _Machine(0, first, first, first, start, start, start)
                self._machines[machine] = seen
            else:
                steps[places[0]] = time[0].item() - seen.last
                ends[machine] = seen.before
            self._follow(seen, batch, places, time)
        self._note_disorder(batch, steps)
        forward = np.where(steps > 0, steps, np.nan)
        self._note_longest(batch, forward, before, ends)
        self._count(forward[~np.isnan(forward)])

    def machines(self) -> tuple[int, tuple[MachineRows, ...]]:
        """How many machines there are, and those with the most rows."""
        largest = sorted(self._machines.items(), key=lambda item: -item[1].rows)[:MACHINES]
        rows = (MachineRows(machine, one.rows, one.start, one.end) for machine, one in largest)
        return len(self._machines), tuple(rows)

    def span(self) -> tuple[str, str, float]:
        """The first and the last timestamp, and the units of the clock between them."""
        first = min(self._machines.values(), key=lambda one: one.earliest)
        last = max(self._machines.values(), key=lambda one: one.latest)
        return first.start, last.end, float(last.latest - first.earliest)

    def steps(self, per_second: float) -> Steps:
        """What the steps came to; the log has ended.

        Args:
            per_second: Units of the clock, by which the lengths of gaps are divided.
        """
        exact = bool(self._held)
        if exact:
            self._judge_held()
        period = self._period
        longest = sorted(self._longest, key=lambda item: (-item[0], -item[1]))
        return Steps(
            period=period,
            period_steps=self._total if exact else min(self._total, MEDIAN_STEPS),
            longest_step=np.inf if period is None else self._longest_step(period),
            total=self._total,
            gaps=self._gaps,
            falls=self._falls,
            repeats=self._repeats,
            farthest_fall=self._farthest_fall,
            disorder=self._disorder,
            uneven=self._uneven,
            irregular=self._irregular,
            longest=tuple(
                Gap(
                    machine=machine,
                    start=start,
                    end=end,
                    length=step / per_second,
                    periods=step / period,
                )
                for step, _, machine, start, end in longest
                if period is not None and self._is_gap(np.array(step), period)
            ),
        )

    def _follow(
        self, seen: _Machine, batch: LogBatch, places: NDArray[np.int64], time: Clock
    ) -> None:
        """Where a machine's rows have come to."""
        seen.rows += len(places)
        seen.last = time[-1].item()
        seen.before = moment(batch, int(places[-1]), self._kind)
        early, late = int(time.argmin()), int(time.argmax())
        if time[early] < seen.earliest:
            seen.earliest = time[early].item()
            seen.start = moment(batch, int(places[early]), self._kind)
        if time[late] > seen.latest:
            seen.latest = time[late].item()
            seen.end = moment(batch, int(places[late]), self._kind)

    def _note_disorder(self, batch: LogBatch, steps: FloatArray) -> None:
        """Count the rows that are no later than those before them."""
        falls, repeats = steps < 0, steps == 0
        self._falls += int(falls.sum())
        self._repeats += int(repeats.sum())
        if falls.any():
            self._farthest_fall = max(self._farthest_fall, float(-steps[falls].min()))
        if self._disorder is None and (falls | repeats).any():
            row = int(np.flatnonzero(falls | repeats)[0])
            self._disorder = (batch.first_row + row, moment(batch, row, self._kind))

    def _note_longest(
        self,
        batch: LogBatch,
        steps: FloatArray,
        before: NDArray[np.int64],
        ends: dict[MachineId, str],
    ) -> None:
        """Keep the longest steps, and where they are."""
        order = np.argsort(-np.nan_to_num(steps, nan=-np.inf), kind="stable")[:_LONGEST]
        for row in order.tolist():
            step = float(steps[row])
            full = len(self._longest) == _LONGEST
            if np.isnan(step) or (full and step <= self._longest[0][0]):
                return
            machine = batch.machines[batch.machine_codes[row]]
            start = (
                ends[machine] if before[row] < 0 else moment(batch, int(before[row]), self._kind)
            )
            number = -(batch.first_row + row)
            found = (step, number, machine, start, moment(batch, row, self._kind))
            (heapq.heappushpop if full else heapq.heappush)(self._longest, found)

    def _count(self, steps: FloatArray) -> None:
        """Judge steps by the period, or hold them until there is one."""
        self._total += len(steps)
        if self._period is not None:
            self._judge(steps, self._period)
            return
        self._held.append(steps)
        self._held_steps += len(steps)
        if self._held_steps >= MEDIAN_STEPS:
            self._judge_held()

    def _judge_held(self) -> None:
        held = np.concatenate(self._held)
        self._held = []
        if len(held):
            self._period = float(np.median(held[:MEDIAN_STEPS]))
            self._judge(held, self._period)

    def _judge(self, steps: FloatArray, period: float) -> None:
        self._gaps += int(self._is_gap(steps, period).sum())
        off = np.abs(steps - period)
        self._irregular += int((off > _REGULAR * period).sum())
        self._uneven += int(((off > _UNEVEN * period) & ~self._is_gap(steps, period)).sum())

    def _is_gap(self, steps: FloatArray, period: float) -> NDArray[np.bool_]:
        return np.asarray(steps > self._longest_step(period))

    def _longest_step(self, period: float) -> float:
        return self._max_gap * period * (1.0 + _TOLERANCE)
