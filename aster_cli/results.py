"""Values that the floors hand to each other; none of them knows torch, files or the terminal."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

MachineId = tuple[str, ...]
"""The id columns' values as text; ``()`` where a log has one machine only."""

Status = Literal["ok", "provisional", "gap", "missing", "short"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive rows of a log, in the log's own order.

    Attributes:
        first_row: The number of the batch's first row in the whole log, from 0.
        keys: Column ``timestamp`` (the log's values and dtype, unchanged; Int64 row numbers where
            the log has no time), then the id columns, under their own names.
        time: ``(row,)`` the same instants as numbers that can be subtracted: int64 nanoseconds for
            dates, datetimes and epochs, the counter itself (int64 or float64), or row numbers.
        machines: The machines of this batch.
        machine_codes: ``(row,)`` int32 positions in `machines`.
        values: ``(row, sensor)`` float64 in the sensors' own units; NaN where a cell is missing
            (null, NaN or infinite).
        labels: ``(row,)`` int8, 0 or 1; None where the log has no label column.
    """

    first_row: int
    keys: pl.DataFrame
    time: NDArray[np.int64] | NDArray[np.float64]
    machines: tuple[MachineId, ...]
    machine_codes: NDArray[np.int32]
    values: FloatArray
    labels: NDArray[np.int8] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)
