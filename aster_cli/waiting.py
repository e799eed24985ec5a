"""Rows on the way to their scores: what is decided of them so far."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.attribution import Attribution
from aster_cli.results import FloatArray, LogBatch


@dataclass(slots=True)
class Waiting:
    """A log batch and what is decided of it so far.

    Attributes:
        batch: The rows.
        status: ``(row,)`` None where nothing is decided.
        score: ``(row,)`` NaN where there is none.
        top: The leading sensors of every row that has a score.
    """

    batch: LogBatch
    status: NDArray[np.object_]
    score: FloatArray
    top: Attribution

    @classmethod
    def of(cls, batch: LogBatch, n_sensors: int) -> "Waiting":
        """Rows of which nothing is decided."""
        n, top = len(batch), Attribution.blank(len(batch), n_sensors)
        return cls(batch, np.full(n, None, dtype=object), np.full(n, np.nan), top)

    @property
    def decided(self) -> int:
        """Rows before the first that is not decided."""
        undecided = (row for row, status in enumerate(self.status) if status is None)
        return next(undecided, len(self.batch))

    def and_next(self, other: "Waiting") -> "Waiting":
        """These rows of a machine and its next ones; what their sensors measured is left behind."""
        batches = [
            replace(one.batch, values=np.zeros((len(one.batch), 0))) for one in (self, other)
        ]
        first_row = other.batch.first_row - len(self.batch)
        return Waiting(
            replace(joined(*batches), first_row=first_row),
            np.concatenate((self.status, other.status)),
            np.concatenate((self.score, other.score)),
            self.top.and_next(other.top),
        )

    def split(self, n: int) -> tuple["Waiting", "Waiting"]:
        """The first `n` rows of one machine's, and the others."""
        rows = np.arange(len(self.batch))
        return self._some(rows[:n], 0), self._some(rows[n:], n)

    def _some(self, rows: NDArray[np.int64], first: int) -> "Waiting":
        batch = self.batch
        return Waiting(
            batch.of(batch.machines[0], rows, batch.first_row + first),
            self.status[rows],
            self.score[rows],
            self.top.of(rows),
        )


def joined(one: LogBatch, other: LogBatch) -> LogBatch:
    """Rows of one machine and the next ones."""
    time: Any = np.concatenate((one.time, other.time))
    return replace(
        one,
        keys=pl.concat((one.keys, other.keys)),
        time=time,
        machine_codes=np.zeros(len(one) + len(other), dtype=np.int32),
        values=np.concatenate((one.values, other.values)),
    )
