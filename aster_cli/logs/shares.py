"""A log shared out by machine, so that several processes can read it, each its own machines."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.config import TimeConfig
from aster_cli.logs.clock import RisingTime
from aster_cli.logs.log import Log
from aster_cli.logs.parts import Part
from aster_cli.results import LogBatch, MachineId

ROW = "row of the whole log"
"""A key of a share's rows, beside the log's own: which row of the whole log it is, from 0."""


class LogShare(Log):
    """Some machines' rows of a log, as if there were no others; it can be sent to another process.

    Args:
        parts: The files in which they occur, of the whole log's.
        first_rows: Where in the whole log each of these begins.
        machines: Whose rows it has.
        name: Of the whole log, as are the others.
        time: The same.
        absent_sensors: The same.
        batch_rows: The same.
    """

    is_whole = False

    def __init__(
        self,
        parts: Sequence[Part],
        first_rows: Sequence[int],
        machines: frozenset[MachineId],
        name: str,
        time: TimeConfig,
        absent_sensors: tuple[str, ...],
        batch_rows: int,
    ) -> None:
        super().__init__(parts, (), name, time)
        self._first_rows = np.array(first_rows, dtype=np.int64)
        self._own = machines
        self.absent_sensors = absent_sensors
        self.batch_rows = batch_rows

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process makes it of."""
        first_rows = tuple(self._first_rows.tolist())
        like = (self.name, self.time, self.absent_sensors, self.batch_rows)
        return LogShare, (self.parts, first_rows, self._own, *like)

    def place(self, row: int) -> str:
        """Name the file and its row, from 1, of a row as it was found."""
        for rows in self._owned_rows():
            if row < len(rows):
                return super().place(int(rows[row]))
            row -= len(rows)
        raise IndexError(row)

    @cached_property
    def n_rows(self) -> int:
        """The rows that `batches` yields."""
        if self._arranged is not None:
            return len(self._arranged.log)
        return sum(map(len, self._owned_rows()))

    def _machines(self) -> Iterator[tuple[Sequence[MachineId], NDArray[np.int32]]]:
        for machines, codes in super()._machines():
            rows = self._owned(machines, codes)
            own, renumbered = np.unique(codes[rows], return_inverse=True)
            yield [machines[code] for code in own], renumbered.astype(np.int32)

    def _stream(self, rows: int, rising: RisingTime | None) -> Iterator[LogBatch]:
        """Rows of the machines from several batches make one, or batches would be small."""
        gathered: list[LogBatch] = []
        first_row = held = 0
        for whole in super()._stream(rows, rising):
            batch = self._picked(whole)
            if not len(batch):
                continue
            if gathered and held + len(batch) > rows:
                yield LogBatch.joined(gathered, first_row)
                first_row += held
                gathered, held = [], 0
            gathered.append(batch)
            held += len(batch)
        if held:
            yield LogBatch.joined(gathered, first_row)

    def _picked(self, batch: LogBatch) -> LogBatch:
        """The machines' rows of a batch, with one key more."""
        rows = self._owned(batch.machines, batch.machine_codes)
        found = rows + batch.first_row
        begin = np.cumsum([0, *self.part_rows[:-1]])
        part = np.searchsorted(begin, found, side="right") - 1
        picked = batch.take(rows, 0)
        row = pl.Series(ROW, found - begin[part] + self._first_rows[part])
        return replace(picked, keys=picked.keys.with_columns(row))

    def _owned_rows(self) -> Iterator[NDArray[np.int64]]:
        """Which rows of the files are of its machines."""
        first_row = 0
        for machines, codes in super()._machines():
            yield self._owned(machines, codes) + first_row
            first_row += len(codes)

    def _owned(self, machines: Sequence[MachineId], codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Which of some rows are of its machines."""
        is_own = np.array([machine in self._own for machine in machines])
        return np.flatnonzero(is_own[codes])


def share_out(log: Log, shares: int) -> list[tuple[int, LogShare]]:
    """Share a log out, machines that come one after the other together.

    Returns:
        At most so many shares, none without rows, and where in the log each of them begins; in that
        order.
    """
    first: dict[MachineId, int] = {}
    found_in: dict[MachineId, set[int]] = {}
    first_rows = np.cumsum([0, *log.part_rows]).tolist()
    for number, (part, rows) in enumerate(zip(log.parts, log.part_rows, strict=True)):
        row = first_rows[number]
        for machines, codes in part.machines(rows=rows):
            places = np.unique(codes, return_index=True)[1] + row
            for machine, place in zip(machines, places.tolist(), strict=True):
                first.setdefault(machine, place)
                found_in.setdefault(machine, set()).add(number)
            row += len(codes)
    everyone = list(first)
    cuts = np.linspace(0, len(everyone), min(shares, len(everyone)) + 1).astype(int).tolist()
    shared = []
    for start, stop in pairwise(cuts):
        own = everyone[start:stop]
        files = sorted(set[int]().union(*(found_in[machine] for machine in own)))
        share = LogShare(
            [log.parts[number] for number in files],
            [first_rows[number] for number in files],
            frozenset(own),
            log.name,
            log.time,
            log.absent_sensors,
            log.batch_rows,
        )
        shared.append((first[own[0]], share))
    return shared
