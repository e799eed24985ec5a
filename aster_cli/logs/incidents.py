"""Known incidents: stretches of a log's time that are not to be learnt from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from aster_cli.errors import DataError, LogFormatError, UsageError
from aster_cli.logs.clock import NANOSECONDS, epoch_unit, time_kind, to_instants
from aster_cli.logs.formulas import rearm
from aster_cli.logs.readers import HEAD_ROWS, LogReader, open_reader
from aster_cli.logs.schema import INSTANT_KINDS
from aster_cli.logs.sources import find_sources, remove_temporary
from aster_cli.results import MachineId
from aster_cli.schema import LogSchema, TimeKind

START, END = "start", "end"
_DAY = 86_400 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class Incident:
    """A stretch of time, both ends included.

    Attributes:
        ids: Values of id columns, as text; of those that are not named, any.
        start: As `LogBatch.time`.
        end: The same.
    """

    ids: Mapping[str, str]
    start: int | float
    end: int | float

    def concerns(self, machine: MachineId, id_cols: tuple[str, ...]) -> bool:
        """Whether a machine is one of the incident's."""
        return all(
            self.ids.get(name, own) == own for name, own in zip(id_cols, machine, strict=True)
        )


def read_incidents(path: str, schema: LogSchema) -> list[Incident]:
    """Read a table with the columns ``start`` and ``end``, and with any of the log's id columns.

    Times are written as the log's are; a date stands for its whole day. Other columns are ignored.

    Args:
        path: A CSV file, or any other format of logs.
        schema: The log's.

    Raises:
        StorageError: There is no such file.
        LogFormatError: It has no rows, no such columns, or a cell cannot be read.
        DataError: A cell is empty, an incident ends before it starts, or times are not the log's.
        UsageError: An id column is called ``start`` or ``end``.
    """
    require_apart(schema.id_cols)
    sources = find_sources([path])
    try:
        return [one for source in sources for one in _read(open_reader(source), schema)]
    finally:
        remove_temporary(sources)


def require_apart(id_cols: Iterable[str]) -> None:
    """Refuse id columns that are called as columns of a table of incidents are.

    Raises:
        UsageError: Naming the first.
    """
    for name in id_cols:
        if name in (START, END):
            raise UsageError(
                f"id column {name!r} is called as an end of incidents is, so their table cannot "
                "have both",
                hint="rename it in the log",
            )


def _read(reader: LogReader, schema: LogSchema) -> list[Incident]:
    where = reader.source.display_name
    for name in (START, END):
        if name not in reader.stored:
            raise LogFormatError(
                f"has no column {name!r}",
                where=where,
                hint="give a table with the columns start and end, one incident a row",
            )
    ids = [name for name in schema.id_cols if name in reader.stored]
    _, head = reader.head()
    wanted = {name: reader.stored[name] for name in ids}
    wanted |= {name: _clock_dtype(head[name], schema, where) for name in (START, END)}
    table = pl.concat(reader.frames(wanted, rows=HEAD_ROWS)).with_columns(
        pl.col(ids).cast(pl.String)
    )
    if reader.source.format == "csv":
        table = rearm(table)
    for column in table:
        if column.null_count():
            row = int(column.is_null().arg_true()[0])
            raise DataError(f"column {column.name!r} is empty", where=f"{where}, row {row + 1}")
    starts, ends = (_instants(table, name, schema.time_kind) for name in (START, END))
    if table.schema[END] == pl.Date and schema.time_kind == "datetime":
        ends = ends + (_DAY - 1)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if start is None or end is None or end < start:
            raise DataError(
                f"the incident from {table[START][row]} to {table[END][row]} is none",
                where=f"{where}, row {row + 1}",
                hint="its end has to be at its start or later",
            )
    return [
        Incident({name: row[name] for name in ids}, start, end)
        for row, start, end in zip(table.iter_rows(named=True), starts, ends, strict=True)
    ]


def _clock_dtype(cells: pl.Series, schema: LogSchema, where: str) -> pl.DataType:
    """What a column is read as; refuse another kind of time, or an offset where the log has none."""
    log_is_zoned = "time_zone='" in schema.time_dtype
    if cells.dtype == pl.String:  # read as what it should be, so that the faulty row is named
        zone = "UTC" if log_is_zoned else None
        has_dates = schema.time_kind in ("datetime", "date")
        return pl.Datetime("ns", zone) if has_dates else pl.Float64()
    kind = time_kind(cells)
    is_instant = kind in ("datetime", "date") if schema.time_kind != "epoch" else kind == "epoch"
    fits = is_instant if schema.time_kind in INSTANT_KINDS else kind in ("counter", "epoch")
    zoned = isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone is not None
    if kind == "date" and schema.time_kind == "datetime":
        fits, zoned = True, log_is_zoned  # a whole day; of a log with offsets a day in UTC
    if fits and zoned == log_is_zoned:
        return cells.dtype
    example = next(iter(cells.drop_nulls()), None)
    offset = {"datetime": f" {'with' if log_is_zoned else 'without'} an offset"}
    raise DataError(
        f"column {cells.name!r}, with values such as {str(example)!r}, is not on the log's clock",
        where=where,
        hint=f"the log's is a {schema.time_kind}{offset.get(schema.time_kind, '')}",
    )


def _instants(table: pl.DataFrame, name: str, kind: TimeKind) -> pl.Series:
    unit = epoch_unit(pl.concat([table[START], table[END]])) if kind == "epoch" else None
    return to_instants(table[name], kind, unit)
