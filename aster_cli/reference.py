"""What training keeps of every sensor's values, and how far other values lie from them.

A reference is 101 percentiles of a sensor in one machine's training rows, and its longest run of one
and the same value. Percentiles that repeat are a value that the sensor often has; it is a cell of its
own, so that a switch, a counter or a set point is compared as what it is.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.results import FloatArray, MachineId, Series

LEVELS = np.linspace(0.0, 1.0, 101)

GROUPS = 10
"""For the index the training values are cut into so many groups of about the same share, beside one
for all that is lower and one for all that is higher."""

SMALLEST_SHARE = 0.001
"""What a share counts for at least in the index, whose logarithm needs one."""

REFERENCE_COLUMNS = ("machine", "sensor", "rows", "missing", "longest_run", "percentiles")

Counts = NDArray[np.int64]


class SensorReference:
    """One sensor of one machine in training.

    Its cells are, rising: all below the lowest percentile, the percentile itself, what lies between
    it and the next one, and so on, and all above the highest.

    Args:
        percentiles: ``(101,)`` never falling.
        longest_run: The most consecutive values that were one and the same.
    """

    def __init__(self, percentiles: FloatArray, longest_run: int) -> None:
        self.longest_run = longest_run
        self.low, self.high = float(percentiles[0]), float(percentiles[-1])
        self._points, first = np.unique(percentiles, return_index=True)
        last = np.append(first[1:], len(percentiles)) - 1
        # the share of training values below the end of each cell
        self._reached = np.append(LEVELS[np.stack((first, last), axis=1).ravel()], 1.0)
        before = np.concatenate(([0.0], self._reached[:-1]))
        middle = (before + self._reached) / 2.0
        inside = np.minimum((GROUPS * middle + 1e-9).astype(np.int64), GROUPS - 1)
        inside[0], inside[-1] = -1, GROUPS
        self._group = inside + 1
        self._shares = self._grouped(self._reached - before)

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return len(self._reached)

    def count(self, values: FloatArray) -> Counts:
        """How many of some values lie in each cell."""
        cells = np.searchsorted(self._points, values) + np.searchsorted(
            self._points, values, side="right"
        )
        return np.bincount(cells, minlength=self.n_cells)

    def far(self, values: FloatArray) -> int:
        """How many values lie farther outside the training range than it is wide."""
        width = self.high - self.low
        return int(np.sum((values < self.low - width) | (values > self.high + width)))

    def ks(self, counts: Counts) -> float:
        """The Kolmogorov-Smirnov distance, the largest difference of the two distribution functions.

        It is taken at every percentile, from both sides (Smirnov, Annals of Mathematical Statistics
        19, 1948).
        """
        reached = np.cumsum(counts) / counts.sum()
        return float(np.abs(reached - self._reached).max())

    def psi(self, counts: Counts) -> float:
        """The population stability index, ``sum of (q - p) ln(q / p)`` over the groups.

        That is the symmetric divergence of Jeffreys (Proceedings of the Royal Society A 186, 1946),
        under the name that credit scoring gave it (Siddiqi, Credit Risk Scorecards, 2006).
        """
        found = self._grouped(counts / counts.sum())
        return float(((found - self._shares) * np.log(found / self._shares)).sum())

    def _grouped(self, shares: FloatArray) -> FloatArray:
        grouped = np.bincount(self._group, weights=shares, minlength=GROUPS + 2)
        return np.maximum(grouped, SMALLEST_SHARE)


class Reference:
    """The references of all sensors, by machine.

    Args:
        machines: In the order of `sensors`; None where a sensor had no value.
        rows: Training rows.
    """

    def __init__(
        self,
        machines: dict[MachineId, list[SensorReference | None]],
        rows: dict[MachineId, int],
    ) -> None:
        self._machines = machines
        self._rows = rows

    @classmethod
    def of(cls, table: pl.DataFrame, sensors: Sequence[str]) -> "Reference":
        """Take a table of `reference_table` up.

        Raises:
            ValueError: It is no such table.
        """
        places = {name: place for place, name in enumerate(sensors)}
        machines: dict[MachineId, list[SensorReference | None]] = {}
        rows: dict[MachineId, int] = {}
        for row in table.iter_rows(named=True):
            machine = tuple(row["machine"])
            own = machines.setdefault(machine, [None] * len(places))
            rows[machine] = row["rows"]
            if row["percentiles"] is not None:
                percentiles = np.array(row["percentiles"], dtype=np.float64)
                own[places[row["sensor"]]] = SensorReference(percentiles, row["longest_run"])
        return cls(machines, rows)

    def sensors(self, machine: MachineId) -> list[SensorReference | None] | None:
        """A machine's sensors; None where training did not see the machine."""
        return self._machines.get(machine)

    def rows(self, machine: MachineId) -> int:
        """A machine's training rows; 0 where there are none."""
        return self._rows.get(machine, 0)


def reference_table(series: list[Series], sensors: tuple[str, ...]) -> pl.DataFrame:
    """What is kept of a training log: a row for every machine and sensor, in its own units."""
    tables = []
    for one in series:
        known = [column[~np.isnan(column)] for column in one.values.T]
        tables.append(
            pl.DataFrame(
                {
                    "machine": [list(one.machine)] * len(sensors),
                    "sensor": sensors,
                    "rows": [len(one)] * len(sensors),
                    "missing": [len(one) - len(column) for column in known],
                    "longest_run": [int(run_lengths(column).max(initial=0)) for column in known],
                    "percentiles": [
                        np.quantile(column, LEVELS).tolist() if len(column) else None
                        for column in known
                    ],
                },
                schema_overrides={
                    "machine": pl.List(pl.String),
                    "percentiles": pl.List(pl.Float64),
                },
            )
        )
    return pl.concat(tables)


def run_lengths(values: FloatArray) -> Counts:
    """The lengths of the runs of one and the same value, one after the other."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    return np.diff(ends, prepend=-1)
