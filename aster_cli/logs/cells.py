"""Text cells become numbers, truth values and times, and a cell that does not is named.

CSV is split into text first and typed here, so that one unparsable cell among millions is found
by row and column, and identifiers such as ``007`` stay as they are written.
"""

import reprlib
from datetime import datetime

import polars as pl

from aster_cli.errors import LogFormatError

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "none"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
"""The usual spellings of a cell without a value, in lower case."""


def is_missing(cells: pl.Series) -> pl.Series:
    """Mark the cells that say in one of the usual ways that there is no value."""
    missing = cells.str.strip_chars().str.to_lowercase().is_in(list(MISSING))
    return missing.fill_null(True)


def infer_dtype(cells: pl.Series) -> pl.DataType:
    """Tell what most of the first cells of a column are; without any value: a number.

    A column of numbers with a few other cells counts as numbers: `parse` then names those cells,
    where a silent change to text would lose the sensor.
    """
    filled = cells.filter(~is_missing(cells))
    if filled.is_empty():
        return pl.Float64()
    if _parses(filled, pl.Float64()):
        whole = parse_leniently(filled, pl.Int64()).null_count() == 0
        return pl.Int64() if whole else pl.Float64()
    if _parses(filled, pl.Boolean()):
        return pl.Boolean()
    return infer_time_dtype(filled)


def infer_time_dtype(cells: pl.Series) -> pl.DataType:
    """Tell how text cells are to be read as times; String where they are no times."""
    filled = cells.filter(~is_missing(cells))
    if filled.is_empty():
        return pl.String()
    if _convert(filled, pl.Date()).null_count() == 0:
        return pl.Date()
    for time_zone in (None, "UTC"):
        if _parses(filled, pl.Datetime("ns", time_zone)):
            return pl.Datetime("ns", time_zone)
    return pl.String()


def time_share(cells: pl.Series) -> float:
    """Tell what share of the filled cells are ISO times, each read on its own."""
    filled = cells.filter(~is_missing(cells))
    return sum(map(_is_iso_time, filled)) / max(len(filled), 1)


def parse_leniently(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Read text cells as `dtype`; what cannot be read becomes null."""
    parsed = _convert(cells, dtype)
    if dtype == pl.String or parsed.null_count() == cells.null_count():
        return parsed
    return _convert(cells.str.strip_chars(), dtype)


def parse(cells: pl.Series, dtype: pl.DataType, *, where: str, first_row: int) -> pl.Series:
    """Read text cells as `dtype`; missing ones become null.

    Args:
        cells: The cells of one column, named like it.
        dtype: What they have to be.
        where: The file.
        first_row: The file's row number of the first cell, from 1.

    Raises:
        LogFormatError: Naming file, row, column and the first cell that is something else.
    """
    parsed = parse_leniently(cells, dtype)
    if parsed.null_count() == cells.null_count():
        return parsed
    unreadable = (parsed.is_null() & ~is_missing(cells)).arg_true()
    if unreadable.is_empty():
        return parsed
    row = int(unreadable[0])
    what, hint = _EXPECTED.get(dtype.base_type(), ("a time", _TIME_HINT))
    raise LogFormatError(
        f"{reprlib.repr(cells[row])} in column {cells.name!r} is not {what}",
        where=f"{where}, row {first_row + row}",
        hint=hint,
    )


_NUMBER_HINT = "correct the cell, or leave the column out with --exclude-cols"
_TIME_HINT = "write times alike and in ISO form, with or without an offset throughout"
_EXPECTED: dict[object, tuple[str, str]] = {
    pl.Float64: ("a number", _NUMBER_HINT),
    pl.Int64: ("a whole number like those before it", _NUMBER_HINT),
    pl.Boolean: ("true or false", _NUMBER_HINT),
    pl.Date: ("a date", _TIME_HINT),
}


def _is_iso_time(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell.strip())
    except ValueError:
        return False
    return True


def _parses(filled: pl.Series, dtype: pl.DataType) -> bool:
    """Tell whether more than half of the cells can be read as `dtype`."""
    return 2 * parse_leniently(filled, dtype).null_count() < len(filled)


def _convert(cells: pl.Series, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Boolean):
        words = {"true": True, "false": False}
        return cells.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if isinstance(dtype, pl.Datetime):
        return _convert_datetimes(cells, dtype)
    if isinstance(dtype, pl.Date):
        return cells.str.to_date(strict=False) if cells.count() else cells.cast(pl.Date)
    return cells.cast(dtype, strict=False)


def _convert_datetimes(cells: pl.Series, dtype: pl.Datetime) -> pl.Series:
    """Read times to the nanosecond; null for the years that nanoseconds in 64 bits cannot hold."""
    nothing = pl.Series(cells.name, [None] * len(cells), dtype=dtype)
    try:
        exact = cells.str.to_datetime(time_unit="ns", strict=False)
        coarse = cells.str.to_datetime(time_unit="us", strict=False)
    except pl.exceptions.ComputeError:  # no pattern fits the first cell
        return nothing
    if exact.dtype != dtype:
        return nothing
    return (
        exact.to_frame()
        .select(pl.when(exact.dt.year() == coarse.dt.year()).then(exact))
        .to_series()
    )
