"""A log: one file or many, read in order of time, checked while it streams."""

import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import NoReturn, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs.arrange import Arranged, arrange
from aster_cli.logs.clock import RisingTime, RowCount
from aster_cli.logs.machines import last_positions
from aster_cli.logs.parts import Part
from aster_cli.logs.schema import TIMESTAMP
from aster_cli.logs.sources import Source, remove_temporary
from aster_cli.results import LogBatch, MachineId
from aster_cli.schema import LogSchema

BATCH_ROWS = 8192


class Log:
    """Files read as one log; a context manager, for a copy of standard input must be removed.

    Attributes:
        parts: The files, in the order in which they are read, and how.
        sources: The same files.
        schema: The parts that their columns play.
        absent_sensors: Sensors that a model expects and some file lacks; only where that is allowed.
        notes: What the user should know about how they are read.
        name: The stem of the file that was named first.
        time: Whether rows are sorted by time, and repeated times merged.
        batch_rows: Rows of a batch, where no other number is asked for.
        is_whole: Whether all machines of its files are in it.
    """

    is_whole = True

    def __init__(
        self, parts: Sequence[Part], notes: Sequence[str], name: str, time: TimeConfig
    ) -> None:
        """Take parts that belong together; see `open_log`."""
        self.parts = tuple(parts)
        self.time = time
        self.sources: tuple[Source, ...] = tuple(part.reader.source for part in parts)
        self.schema: LogSchema = parts[0].schema
        self.absent_sensors: tuple[str, ...] = tuple(
            name
            for name in self.schema.sensors
            if any(name not in part.columns for part in self.parts)
        )
        self.notes = tuple(notes)
        self.name = name
        self.batch_rows = BATCH_ROWS
        self._remove_temporary = weakref.finalize(self, remove_temporary, self.sources)

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what was copied from standard input."""
        self._remove_temporary()

    def batches(self, rows: int | None = None) -> Iterator[LogBatch]:
        """Stream the log from its start, at most `rows` rows at a time, in constant memory.

        An arranged log (see `alias`) is in memory whole, and comes in the order arranged.

        Raises:
            LogFormatError: A cell cannot be read.
            DataError: A row has no time, no id or no proper label; or time does not rise.
        """
        rows = rows or self.batch_rows
        if self._arranged is None:
            return self._stream(rows, RisingTime())
        return self._arranged.batches(rows)

    def as_found(self, rows: int | None = None) -> Iterator[LogBatch]:
        """Stream the log like `batches`, but in whatever order of time it has; nothing is arranged.

        Raises:
            LogFormatError: A cell cannot be read.
            DataError: A row has no time, no id or no proper label.
        """
        return self._stream(rows or self.batch_rows, None)

    def head(self) -> pl.DataFrame:
        """The first rows of the first file, with all its columns."""
        return self.parts[0].reader.head()[1]

    def place(self, row: int) -> str:
        """Name the file and its row, from 1, of a row of the whole log as it was found."""
        ends = np.cumsum(self.part_rows)
        number = int(np.searchsorted(ends, row, side="right"))
        first_row = int(ends[number]) - self.part_rows[number]
        return f"{self.parts[number].where}, row {row - first_row + 1}"

    @property
    def alias(self) -> NDArray[np.int64] | None:
        """For every input row, the row of `batches` that stands for it; None if it is that row."""
        return None if self._arranged is None else self._arranged.alias

    @property
    def input_keys(self) -> pl.DataFrame | None:
        """The keys of the input rows in input order; None if they are those of `batches`."""
        return None if self._arranged is None else self._arranged.input_keys

    @cached_property
    def n_rows(self) -> int:
        """The rows that `batches` yields."""
        if self._arranged is not None:
            return len(self._arranged.log)
        return sum(self.part_rows)

    @cached_property
    def last_rows(self) -> dict[MachineId, int]:
        """The number of each machine's last row; to find it no more than the id columns is read."""
        if self._arranged is not None:
            log = self._arranged.log
            return last_positions(log.machines, log.machine_codes, 0)
        last: dict[MachineId, int] = {}
        first_row = 0
        for machines, codes in self._machines():
            last |= last_positions(machines, codes, first_row)
            first_row += len(codes)
        return last

    def _machines(self) -> Iterator[tuple[Sequence[MachineId], NDArray[np.int32]]]:
        """Stream whose every row is, part by part."""
        for part, rows in zip(self.parts, self.part_rows, strict=True):
            yield from part.machines(rows=rows)

    @cached_property
    def part_rows(self) -> list[int]:
        """The rows of each part, as they were found."""
        return [part.reader.count_rows() for part in self.parts]

    @cached_property
    def _arranged(self) -> Arranged | None:
        """Hold the whole log, sorted and merged, where that was asked for and time can tell."""
        asked = self.time.sort or self.time.duplicates != "error"
        if not asked or self.schema.time_col is None:
            return None
        check = None if self.time.sort else RisingTime(allow_repeats=True)
        return arrange(list(self._stream(BATCH_ROWS, check)), self.time, self.place)

    def _stream(self, rows: int, rising: RisingTime | None) -> Iterator[LogBatch]:
        count = RowCount()
        first_row = 0
        for number, part in enumerate(self.parts):
            next_row = first_row
            for batch in part.batches(rows, first_row=first_row, count=count):
                if rising is not None:
                    fault = rising.first_fault(batch.time, batch.machines, batch.machine_codes)
                    if fault is not None:
                        self._refuse(number, batch, fault, batch.first_row + fault - first_row)
                next_row += len(batch)
                yield batch
            first_row = next_row

    def _refuse(self, number: int, batch: LogBatch, fault: int, file_row: int) -> NoReturn:
        """Say which row's time does not rise, and what can be done about it."""
        where = self.parts[number].where
        time = batch.keys[TIMESTAMP][fault]
        if file_row == 0 and not self.schema.id_cols:
            raise DataError(
                f"starts at {time}, when {self.parts[number - 1].where} has not ended",
                where=where,
                hint="files of different machines need --id-col or --id-from-path",
            )
        machine = "/".join(batch.machines[batch.machine_codes[fault]])
        raise DataError(
            f"time {time}" + (f" of machine {machine!r}" if machine else "") + " is not later than "
            "the row before it",
            where=f"{where}, row {file_row + 1}",
            hint="--duplicates first, last or mean merges repeated times, --sort orders rows, "
            "--id-col tells machines apart",
        )
