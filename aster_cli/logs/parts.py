"""One file of a log as `LogBatch` values: every cell checked, every row of it accounted for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.logs import cells
from aster_cli.logs.clock import RowCount, to_instants
from aster_cli.logs.machines import code_machines
from aster_cli.logs.readers import HEAD_ROWS, LogReader
from aster_cli.logs.schema import TIMESTAMP
from aster_cli.results import Clock, FloatArray, LogBatch, MachineId
from aster_cli.schema import LogSchema


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a log, and how to read it.

    Attributes:
        reader: The file.
        schema: The whole log's.
        columns: The stored columns to read, and as what.
        path_ids: Id columns that the file's path provides, and their values.
        epoch_unit: Nanoseconds of one unit of an epoch.
    """

    reader: LogReader
    schema: LogSchema
    columns: Mapping[str, pl.DataType]
    path_ids: Mapping[str, str]
    epoch_unit: int | None

    @property
    def where(self) -> str:
        """How messages call the file."""
        return self.reader.source.display_name

    def batches(self, rows: int, *, first_row: int, count: RowCount) -> Iterator[LogBatch]:
        """Stream the file.

        Args:
            rows: The most rows of a batch.
            first_row: The number of the file's first row in the whole log.
            count: Numbers the rows of a log without time, over all its files.

        Raises:
            DataError: Naming the row that has no time, no id, or a label other than 0 and 1.
        """
        row = 1  # of the file
        for frame in self.reader.frames(self.columns, rows=rows):
            ids = self._ids(frame, row)
            machines, codes = code_machines(ids, frame.height)
            if self.schema.time_col is None:
                time: Clock = count.count(machines, codes)
                timestamp = pl.Series(TIMESTAMP, time)
            else:
                timestamp = frame[self.schema.time_col].alias(TIMESTAMP)
                time = self._instants(timestamp, row)
            yield LogBatch(
                first_row=first_row + row - 1,
                keys=pl.DataFrame([timestamp, *ids]),
                time=time,
                machines=machines,
                machine_codes=codes,
                values=self._values(frame),
                labels=self._labels(frame, row),
            )
            row += frame.height

    def machines(self, *, rows: int) -> Iterator[tuple[tuple[MachineId, ...], NDArray[np.int32]]]:
        """Stream whose every row is, as in `LogBatch`, reading no more than the id columns.

        Args:
            rows: How many rows the file has.
        """
        stored = {name: self.columns[name] for name in self.schema.id_cols if name in self.columns}
        if not stored:
            machine = tuple(self.path_ids[name] for name in self.schema.id_cols)
            for start in range(0, rows, HEAD_ROWS):
                yield (machine,), np.zeros(min(rows - start, HEAD_ROWS), dtype=np.int32)
            return
        row = 1
        for frame in self.reader.frames(stored, rows=HEAD_ROWS):
            yield code_machines(self._ids(frame, row), frame.height)
            row += frame.height

    def _ids(self, frame: pl.DataFrame, row: int) -> pl.DataFrame:
        literals = [pl.lit(value).alias(name) for name, value in self.path_ids.items()]
        ids = frame.with_columns(literals).select(self.schema.id_cols)
        for column in ids:
            if column.null_count():
                fault = int(column.is_null().arg_true()[0])
                raise DataError(
                    f"id column {column.name!r} is empty", where=f"{self.where}, row {row + fault}"
                )
        return ids

    def _instants(self, timestamp: pl.Series, row: int) -> Clock:
        instants = to_instants(timestamp, self.schema.time_kind, self.epoch_unit)
        if instants.null_count():
            fault = int(instants.is_null().arg_true()[0])
            cell = timestamp.to_physical()[fault]
            if cell is not None and _python_has(cell, timestamp.dtype):
                cell = timestamp[fault]
            raise DataError(
                f"column {self.schema.time_col!r} has "
                + ("no time" if cell is None else f"the time {cell}, which is out of range"),
                where=f"{self.where}, row {row + fault}",
            )
        return instants.to_numpy()

    def _values(self, frame: pl.DataFrame) -> FloatArray:
        """Return the sensors; a sensor that the file lacks is missing throughout."""
        columns = [
            (frame[name] if name in self.columns else pl.Series(name, [None] * frame.height))
            for name in self.schema.sensors
        ]
        numbers = pl.DataFrame(columns).cast(pl.Float64).fill_null(float("nan"))
        values: FloatArray = numbers.to_numpy(order="c", writable=True)
        values[~np.isfinite(values)] = np.nan
        return values

    def _labels(self, frame: pl.DataFrame, row: int) -> NDArray[np.int8] | None:
        if self.schema.label_col is None:
            return None
        column = frame[self.schema.label_col]
        labels = _zeros_and_ones(column)
        if labels.null_count():
            fault = int(labels.is_null().arg_true()[0])
            raise DataError(
                f"label {column[fault]!r} in column {column.name!r} is neither 0 nor 1",
                where=f"{self.where}, row {row + fault}",
            )
        return labels.to_numpy()


def _zeros_and_ones(labels: pl.Series) -> pl.Series:
    """Read labels as Int8; null where a cell is neither 0 nor 1."""
    if labels.dtype == pl.String:
        words = cells.parse_leniently(labels, pl.Boolean()).cast(pl.Float64)
        numbers = cells.parse_leniently(labels, pl.Float64()).fill_null(words)
    else:
        numbers = labels.cast(pl.Float64, strict=False)
    exact = pl.col(labels.name)
    return (
        numbers.to_frame()
        .select(pl.when((exact == 0.0) | (exact == 1.0)).then(exact).cast(pl.Int8))
        .to_series()
    )


def _python_has(number: int, dtype: pl.DataType) -> bool:
    """Whether a time, as it is stored, is in a year that Python has; Polars panics at some others."""
    per_day = 1
    if isinstance(dtype, pl.Datetime):
        per_day = 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[dtype.time_unit]
    first, last = (end.toordinal() - date(1970, 1, 1).toordinal() for end in (date.min, date.max))
    return not dtype.is_temporal() or first < number // per_day < last
