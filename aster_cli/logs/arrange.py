"""A log that does not rise in time: sorted, its repeated times merged, the input kept traceable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.results import FloatArray, LogBatch


@dataclass(frozen=True, slots=True)
class Arranged:
    """A whole log in memory.

    Attributes:
        log: Its rows, arranged.
        alias: ``(input row,)`` the arranged row that stands for it.
        input_keys: The keys of the input rows, in input order.
    """

    log: LogBatch
    alias: NDArray[np.int64]
    input_keys: pl.DataFrame

    def batches(self, rows: int) -> Iterator[LogBatch]:
        """Cut the arranged log into batches of `rows` rows."""
        for first in range(0, len(self.log), rows):
            last = min(first + rows, len(self.log))
            yield self.log.take(np.arange(first, last), first)


def arrange(
    batches: Sequence[LogBatch], config: TimeConfig, place: Callable[[int], str]
) -> Arranged:
    """Sort rows by time, and merge the rows of one machine and time, as far as `config` asks.

    Rows are sorted stably and over the whole log. Merged rows take the place and keys of the first
    of them; ``first`` and ``last`` take over that row's values, ``mean`` the mean of the cells that
    are not missing; the label is the highest.

    Args:
        batches: The whole log; within a machine its times never fall, unless they are sorted here.
        config: What to do.
        place: Names the file and row of an input row.

    Raises:
        DataError: Times of a machine repeat, and it was not said which row counts.
    """
    log = LogBatch.joined(batches, 0)
    order = np.argsort(log.time, kind="stable") if config.sort else np.arange(len(log))
    time, codes = log.time[order], log.machine_codes[order]

    # Positions in `order`, machine by machine: rows to be merged are now neighbours.
    by_machine = np.argsort(codes, kind="stable")
    repeats = np.zeros(len(log), dtype=bool)
    repeats[1:] = (np.diff(codes[by_machine]) == 0) & (np.diff(time[by_machine]) == 0)
    if config.duplicates == "error" and repeats.any():
        row = int(order[by_machine[np.flatnonzero(repeats)[0]]])
        raise DataError(
            f"time {log.keys[row, 0]} occurs twice",
            where=place(row),
            hint="choose --duplicates first, last or mean",
        )
    starts = np.flatnonzero(~repeats)
    ends = np.append(starts[1:], len(log))
    rank = np.argsort(by_machine[starts], kind="stable")  # groups, by the place of their first row
    starts, ends = starts[rank], ends[rank]
    members = order[by_machine]  # input rows, group by group
    first, last = members[starts], members[ends - 1]

    place_of_group = np.empty(len(rank), dtype=np.int64)
    place_of_group[rank] = np.arange(len(rank))
    alias = np.empty(len(log), dtype=np.int64)
    alias[members] = place_of_group[np.cumsum(~repeats) - 1]

    match config.duplicates:
        case "mean":
            values = _mean(log.values, alias, len(starts))
        case "last":
            values = log.values[last]
        case _:
            values = log.values[first]
    arranged = LogBatch(
        first_row=0,
        keys=log.keys[first],
        time=log.time[first],
        machines=log.machines,
        machine_codes=log.machine_codes[first],
        values=values,
        labels=None if log.labels is None else _highest(log.labels, alias, len(starts)),
    )
    return Arranged(arranged, alias, log.keys)


def _mean(values: FloatArray, alias: NDArray[np.int64], rows: int) -> FloatArray:
    """Average the cells that are not missing; a cell without company keeps its exact value."""
    known = np.isfinite(values)
    total = np.zeros((rows, values.shape[1]))
    count = np.zeros((rows, values.shape[1]))
    np.add.at(total, alias, np.where(known, values, 0.0))
    np.add.at(count, alias, known)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _highest(labels: NDArray[np.int8], alias: NDArray[np.int64], rows: int) -> NDArray[np.int8]:
    highest = np.zeros(rows, dtype=np.int8)
    np.maximum.at(highest, alias, labels)
    return highest
