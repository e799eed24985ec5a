"""Runs: maximal stretches of marked rows that end where their machine's rows end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs in row order, each the half-open stretch of rows ``[start, stop)``.

    Attributes:
        starts: ``(run,)`` first row of each run.
        stops: ``(run,)`` row after the last one.
        machines: ``(run,)`` position of the run's machine in the bounds it was found with.
    """

    starts: IntArray
    stops: IntArray
    machines: IntArray

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.starts)

    @property
    def lengths(self) -> IntArray:
        """Rows in each run, ``(run,)``."""
        return self.stops - self.starts

    def touching(self, mask: BoolArray) -> BoolArray:
        """Tell which runs hold at least one marked row.

        Args:
            mask: ``(row,)`` over the rows that the runs were found in.

        Returns:
            ``(run,)``.
        """
        marked_before = np.concatenate(([0], np.cumsum(mask)))
        return np.asarray(marked_before[self.stops] > marked_before[self.starts])


def machine_bounds(groups: IntArray) -> IntArray:
    """Return where each machine's rows begin and end.

    Args:
        groups: ``(row,)`` machine of each row; the rows of a machine lie together.

    Returns:
        ``(machine + 1,)`` row offsets: machine i holds the rows ``[bounds[i], bounds[i + 1])``.
    """
    changes = np.flatnonzero(np.diff(groups)) + 1
    # No rows are no machine, but the offsets still need their zero.
    ends = [len(groups)] if len(groups) else []
    return np.concatenate(([0], changes, ends)).astype(np.int64)


def find_runs(mask: BoolArray, bounds: IntArray) -> Runs:
    """Find the maximal runs of marked rows; none crosses from one machine to the next.

    Args:
        mask: ``(row,)``.
        bounds: ``(machine + 1,)`` row offsets, see :func:`machine_bounds`.
    """
    # Setting a wall of unmarked rows at every boundary keeps the runs of two machines apart.
    opens = np.zeros(len(mask) + 1, dtype=np.bool_)
    opens[bounds] = True
    padded = np.concatenate(([False], mask, [False]))
    starts = np.flatnonzero(mask & (~padded[:-2] | opens[:-1]))
    stops = np.flatnonzero(mask & (~padded[2:] | opens[1:])) + 1
    machines = np.searchsorted(bounds, starts, side="right") - 1
    return Runs(starts, stops, machines)
