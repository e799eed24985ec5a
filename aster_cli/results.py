"""Values that the floors hand to each other; none of them knows torch, files or the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.schema import MachineId as MachineId

Status = Literal["ok", "provisional", "gap", "missing", "short"]

FloatArray = NDArray[np.float64]
Clock = NDArray[np.int64] | NDArray[np.float64]
"""Instants as numbers that can be subtracted; see `LogBatch.time`."""

Snapshot = dict[str, Any]
"""What something holds, to go on from: plain values, times, arrays, frames, and lists and dicts of
them. Arrays are copies."""


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive rows of a log, in the log's own order.

    Attributes:
        first_row: The number of the batch's first row in the whole log, from 0.
        keys: Column ``timestamp`` (the log's values and dtype, unchanged; Int64 row numbers where
            the log has no time), then the id columns, under their own names.
        time: ``(row,)`` the same instants as numbers that can be subtracted: int64 nanoseconds for
            dates, datetimes and epochs, the counter itself (int64 or float64), or the machine's row
            number where the log has no time.
        machines: The machines of this batch.
        machine_codes: ``(row,)`` int32 positions in `machines`.
        values: ``(row, sensor)`` float64 in the sensors' own units; NaN where a cell is missing
            (null, NaN or infinite).
        labels: ``(row,)`` int8, 0 or 1; None where the log has no label column.
    """

    first_row: int
    keys: pl.DataFrame
    time: Clock
    machines: tuple[MachineId, ...]
    machine_codes: NDArray[np.int32]
    values: FloatArray
    labels: NDArray[np.int8] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def by_machine(self) -> Iterator[tuple[MachineId, NDArray[np.int64]]]:
        """Each machine with the positions of its rows in this batch."""
        order = np.argsort(self.machine_codes, kind="stable")
        ends = np.cumsum(np.bincount(self.machine_codes, minlength=len(self.machines)))
        start = 0
        for machine, end in zip(self.machines, ends.tolist(), strict=True):
            if end > start:
                yield machine, order[start:end]
            start = end

    def take(self, rows: NDArray[np.int64], first_row: int) -> "LogBatch":
        """Some rows as a batch, with those machines only that occur in it."""
        present, codes = np.unique(self.machine_codes[rows], return_inverse=True)
        return LogBatch(
            first_row=first_row,
            keys=self.keys[rows],
            time=self.time[rows],
            machines=tuple(self.machines[code] for code in present),
            machine_codes=codes.astype(np.int32),
            values=self.values[rows],
            labels=None if self.labels is None else self.labels[rows],
        )

    @classmethod
    def joined(cls, batches: Sequence["LogBatch"], first_row: int) -> "LogBatch":
        """Put consecutive batches together, under one numbering of machines."""
        numbers: dict[MachineId, int] = {}
        codes = []
        for batch in batches:
            own = [numbers.setdefault(machine, len(numbers)) for machine in batch.machines]
            codes.append(np.array(own, dtype=np.int32)[batch.machine_codes])
        labels = [batch.labels for batch in batches if batch.labels is not None]
        return cls(
            first_row=first_row,
            keys=pl.concat([batch.keys for batch in batches]),
            time=np.concatenate([batch.time for batch in batches]),
            machines=tuple(numbers),
            machine_codes=np.concatenate(codes),
            values=np.concatenate([batch.values for batch in batches]),
            labels=np.concatenate(labels) if labels else None,
        )

    def of(self, machine: MachineId, rows: NDArray[np.int64], first_row: int = 0) -> "LogBatch":
        """Some rows of one machine as a batch of their own, without labels."""
        return LogBatch(
            first_row=first_row,
            keys=self.keys[rows],
            time=self.time[rows],
            machines=(machine,),
            machine_codes=np.zeros(len(rows), dtype=np.int32),
            values=self.values[rows],
            labels=None,
        )


@dataclass(frozen=True, slots=True)
class Series:
    """One machine's rows in the order of time, before any cell is filled.

    Attributes:
        machine: Whose rows these are.
        numbers: ``(row,)`` row numbers in the log.
        time: ``(row,)`` as in `LogBatch`.
        values: ``(row, sensor)`` float64, NaN where a cell is missing.
    """

    machine: MachineId
    numbers: NDArray[np.int64]
    time: Clock
    values: FloatArray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def rows(self, start: int, stop: int) -> "Series":
        """A stretch of the series."""
        rows = slice(start, stop)
        return Series(self.machine, self.numbers[rows], self.time[rows], self.values[rows])


class Segment(NamedTuple):
    """Consecutive rows of one machine without a gap, every cell filled.

    Attributes:
        machine: Whose rows these are.
        numbers: ``(row,)`` row numbers in the log.
        values: ``(row, sensor)`` float64 in the sensors' own units.
    """

    machine: MachineId
    numbers: NDArray[np.int64]
    values: FloatArray


@dataclass(frozen=True, slots=True)
class SensorShare:
    """A sensor's part in an anomaly.

    Attributes:
        sensor: Its name.
        share: From 0 to 1; the shares of an event sum to 1.
        direction: +1 above what was expected, -1 below, 0 neither.
        actual: In the sensor's own units, where it lies farthest from what was expected.
        expected: What was expected there.
    """

    sensor: str
    share: float
    direction: int
    actual: float
    expected: float


@dataclass(frozen=True, slots=True)
class Event:
    """Anomalous rows of one machine that belong together.

    Attributes:
        event_id: A hash of model, machine and the first anomalous timestamp.
        machine: The id columns' values as text.
        start: The log's own timestamp of the first anomalous row.
        end: The same of the last one.
        duration_s: Seconds from start to end; None where the log's time is a counter.
        n_rows: Anomalous rows.
        peak_time: Where the score is highest.
        peak_score: The highest score.
        severity: The highest severity, 0 to 100.
        top_sensors: The leading sensors over the event's rows.
        open: Whether the log ends before the event could be called over.
        similar: Earlier events of the log that look alike, the most alike first.
    """

    event_id: str
    machine: MachineId
    start: object
    end: object
    duration_s: float | None
    n_rows: int
    peak_time: object
    peak_score: float
    severity: float
    top_sensors: tuple[SensorShare, ...]
    open: bool
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one stretch of training came to.

    Attributes:
        epoch: From 1.
        step: Optimiser steps so far.
        reversal_strength: λ of the gradient reversal at the end of the epoch.
        losses: Every term by name, mean over the epoch's batches.
        held_out: Every term by name on held-out windows; empty where there are none.
        separation: AUC-ROC of the classifier between real and pseudo-anomalous tokens of held-out
            windows; None where there are none.
        at_once: Windows that were in the device's memory at once; fewer than a batch where it does not
            hold one.
    """

    epoch: int
    step: int
    reversal_strength: float
    losses: dict[str, float]
    held_out: dict[str, float]
    separation: float | None
    at_once: int
