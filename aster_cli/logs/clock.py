"""Time columns as numbers that can be subtracted, and the rule that they rise.

Datetimes, dates and epochs become nanoseconds since 1970 in int64 (zoned ones in UTC); a counter
stays what it is.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.results import MachineId

TimeKind = Literal["datetime", "date", "epoch", "counter", "row"]
Instants = NDArray[np.int64] | NDArray[np.float64]

NANOSECONDS = 1_000_000_000
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
    known = cells.drop_nulls()
    if known.is_empty():
        return None
    first, last = EPOCH_RANGE
    for per_second in (1, 1_000, 1_000_000, NANOSECONDS):
        if known.is_between(first * per_second, last * per_second).all():
            return NANOSECONDS // per_second
    return None


def rises(cells: pl.Series, ids: pl.DataFrame) -> bool:
    """Tell whether a column never falls within a machine, and does rise somewhere."""
    frame = ids.with_columns(cells.alias(""))
    step = pl.col("").diff()
    steps = frame.select(step.over(ids.columns) if ids.width else step).to_series().drop_nulls()
    return cells.null_count() == 0 and bool((steps >= 0).all()) and (
        len(cells) == 1 or bool((steps > 0).any())
    )


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
        finite = cells.cast(pl.Float64).to_frame("").select(
            pl.when(pl.col("").is_finite()).then(pl.col(""))
        ).to_series()
        return finite if unit is None else (finite * unit).round().cast(pl.Int64, strict=False)
    whole = cells.cast(pl.Int64, strict=False)
    if unit is None:
        return whole
    limit = np.iinfo(np.int64).max // unit
    return whole.to_frame("").select(
        pl.when(pl.col("").is_between(-limit, limit)).then(pl.col("") * unit)
    ).to_series()


class RisingTime:
    """Watches that each machine's time rises, however its rows are cut into batches."""

    def __init__(self, *, allow_repeats: bool = False) -> None:
        """Start with no machine seen; equal times may be allowed, where they are merged later."""
        self._allow_repeats = allow_repeats
        self._last: dict[MachineId, int | float] = {}

    def first_fault(
        self, time: Instants, machines: Sequence[MachineId], codes: NDArray[np.int32]
    ) -> int | None:
        """Return the first row whose time is not later than its machine's row before it."""
        order = np.argsort(codes, kind="stable")
        time, codes = time[order], codes[order]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        before = np.roll(time, 1)
        known = np.ones(len(time), dtype=bool)
        for start, stop in zip(starts, [*starts[1:], len(time)], strict=True):
            machine = machines[codes[start]]
            known[start] = machine in self._last
            before[start] = self._last.get(machine, 0)
            self._last[machine] = time[stop - 1].item()
        faulty = known & (time < before if self._allow_repeats else time <= before)
        return int(order[faulty].min()) if faulty.any() else None


class RowCount:
    """Counts each machine's rows, the time of a log that has none."""

    def __init__(self) -> None:
        """Start every machine at row 0."""
        self._seen: dict[MachineId, int] = {}

    def count(
        self, machines: Sequence[MachineId], codes: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Number the next rows of each machine."""
        numbers = np.empty(len(codes), dtype=np.int64)
        for code, machine in enumerate(machines):
            rows = np.flatnonzero(codes == code)
            seen = self._seen.get(machine, 0)
            numbers[rows] = np.arange(seen, seen + len(rows))
            self._seen[machine] = seen + len(rows)
        return numbers
