"""Time columns as numbers that can be subtracted, and the rule that they rise.

Datetimes, dates and epochs become nanoseconds since 1970 in int64 (zoned ones in UTC); a counter
stays what it is.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.logs.machines import machine_runs
from aster_cli.results import Clock, MachineId
from aster_cli.schema import TimeKind

NANOSECONDS = 1_000_000_000
FAULTY_SHARE = 0.1  # of steps that do not rise, in a counter that is one all the same
EPOCH_RANGE = (631_152_000, 4_102_444_800)  # seconds: 1990-01-01 to 2100-01-01


def time_kind(cells: pl.Series) -> TimeKind | None:
    """Tell how a column can serve as time; None where it cannot."""
    if isinstance(cells.dtype, pl.Datetime):
        return "datetime"
    if isinstance(cells.dtype, pl.Date):
        return "date"
    if cells.dtype.is_integer() or cells.dtype.is_float():
        return "counter" if epoch_unit(cells) is None else "epoch"
    return None


def epoch_unit(cells: pl.Series) -> int | None:
    """Return an epoch's unit in nanoseconds, told by its magnitude; None for other numbers."""
    known = cells.drop_nulls().cast(pl.Float64).to_numpy()
    if not len(known):
        return None
    first, last = EPOCH_RANGE
    for per_second in (1, 1_000, 1_000_000, NANOSECONDS):
        if first * per_second <= known.min() and known.max() <= last * per_second:
            return NANOSECONDS // per_second
    return None


def rises(time: Clock, codes: NDArray[np.int32]) -> bool:
    """Tell whether numbers count upwards within each machine, but for a fault here and there."""
    order, starts, _ = machine_runs(codes)
    time = time[order]
    steps = np.delete(np.diff(time, prepend=time[:1]), starts)
    never_falls = bool((steps >= 0).all() and (steps > 0).any())
    return never_falls or not len(steps) or float((steps > 0).mean()) > 1 - FAULTY_SHARE


def to_instants(cells: pl.Series, kind: TimeKind, unit: int | None) -> pl.Series:
    """Turn a time column into int64 nanoseconds, or into the counter itself.

    Args:
        cells: The column.
        kind: How it is read; not ``row``.
        unit: Of an epoch, in nanoseconds.

    Returns:
        Int64 or Float64, null where there is no time or none that 64 bits can hold.
    """
    if kind in ("datetime", "date"):
        zone = cells.dtype.time_zone if isinstance(cells.dtype, pl.Datetime) else None
        return cells.cast(pl.Datetime("ns", zone), strict=False).to_physical()
    if cells.dtype.is_float():
        numbers = cells.cast(pl.Float64)
        finite = numbers.set(~numbers.is_finite(), None)
        return finite if unit is None else (finite * unit).round().cast(pl.Int64, strict=False)
    whole = cells.cast(pl.Int64, strict=False)
    if unit is None:
        return whole
    limit = np.iinfo(np.int64).max // unit
    return whole.set(~whole.is_between(-limit, limit), None) * unit


def common_dtype(columns: Sequence[tuple[str, pl.DataType]]) -> pl.DataType:
    """Choose one dtype for the time columns of several files, which loses nothing of any.

    Args:
        columns: Each file's name and the dtype of its time column.

    Raises:
        DataError: Their time zones differ, or one has dates and another datetimes or numbers.
    """
    first_where, first = columns[0]
    if all(dtype == first for _, dtype in columns):
        return first
    for where, dtype in columns:
        if _zone(dtype) != _zone(first):
            raise DataError(
                f"its times are {dtype}, those of {first_where} are {first}",
                where=where,
                hint="write all files in one time zone",
            )
    if isinstance(first, pl.Datetime):
        units = [dtype.time_unit for _, dtype in columns if isinstance(dtype, pl.Datetime)]
        return pl.Datetime(max(units, key=("ms", "us", "ns").index), first.time_zone)
    whole = all(dtype.is_integer() for _, dtype in columns)
    return pl.Int64() if whole else pl.Float64()


def _zone(dtype: pl.DataType) -> object:
    """Return what two time columns must share to be one: the zone, or being numbers or dates."""
    if isinstance(dtype, pl.Datetime):
        return (dtype.time_zone,)
    return "number" if dtype.is_numeric() else dtype


class RisingTime:
    """Watches that each machine's time rises, however its rows are cut into batches."""

    def __init__(self, *, allow_repeats: bool = False) -> None:
        """Start with no machine seen; equal times may be allowed, where they are merged later."""
        self._allow_repeats = allow_repeats
        self._last: dict[MachineId, int | float] = {}

    def first_fault(
        self, time: Clock, machines: Sequence[MachineId], codes: NDArray[np.int32]
    ) -> int | None:
        """Return the first row whose time is not later than its machine's row before it."""
        order, starts, lengths = machine_runs(codes)
        time = time[order]
        before = np.roll(time, 1)
        known = np.ones(len(time), dtype=bool)
        for machine, start, length in zip(machines, starts, lengths, strict=True):
            known[start] = machine in self._last
            before[start] = self._last.get(machine, 0)
            self._last[machine] = time[start + length - 1].item()
        faulty = known & (time < before if self._allow_repeats else time <= before)
        return int(order[faulty].min()) if faulty.any() else None


class RowCount:
    """Counts each machine's rows, the time of a log that has none."""

    def __init__(self) -> None:
        """Start every machine at row 0."""
        self._seen: dict[MachineId, int] = {}

    def count(self, machines: Sequence[MachineId], codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Number the next rows of each machine."""
        order, starts, lengths = machine_runs(codes)
        numbers = np.empty(len(codes), dtype=np.int64)
        numbers[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
        seen = np.array([self._seen.get(machine, 0) for machine in machines])
        for machine, before, more in zip(machines, seen, lengths, strict=True):
            self._seen[machine] = int(before + more)
        numbers += seen[codes]
        return numbers
