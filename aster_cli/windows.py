"""Windows over a segment: where they start, how they are seen, how their scores meet in a row.

Windows are anchored at the segment's first row and step by `stride`. Rows behind the last whole
step are covered by one more window that ends with the segment; it speaks for those rows only, so
that no other row's score depends on where the segment ends.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aster_cli.results import MachineId


def sliding(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Every window of ``(row, sensor)`` values, as a view ``(window, size, sensor)``."""
    return sliding_window_view(values, size, axis=0).swapaxes(1, 2)


def window_starts(n_rows: int, size: int, stride: int) -> NDArray[np.int64]:
    """First rows of the anchored windows that fit into `n_rows` rows."""
    return np.arange(0, max(n_rows - size + 1, 0), stride, dtype=np.int64)


def thinned(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of these numbers, spread evenly over them."""
    count = min(most, len(numbers))
    return numbers[np.linspace(0, len(numbers) - 1, count).round().astype(np.int64)]


class TrainingWindows:
    """Every window of several segments, drawn in batches without being copied first.

    Args:
        segments: Scaled values ``(row, sensor)``; those shorter than a window give none. The segments
            of a machine are in the order of time.
        size: Rows of a window.
        machines: Whose segments these are; all of one machine if None.
    """

    def __init__(
        self,
        segments: list[NDArray[np.float32]],
        size: int,
        machines: list[MachineId] | None = None,
    ) -> None:
        self.size = size
        owners = machines or [()] * len(segments)
        long = [i for i, values in enumerate(segments) if len(values) >= size]
        self._views = [sliding(segments[i], size) for i in long]
        self._machines = [owners[i] for i in long]
        self._ends = np.cumsum([len(view) for view in self._views], dtype=np.int64)

    @property
    def n_sensors(self) -> int:
        """Sensors of every window."""
        return int(self._views[0].shape[2])

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def none(self) -> "TrainingWindows":
        """No windows of the same size."""
        return TrainingWindows([], self.size)

    def take(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copy the windows of these numbers: ``(window, size, sensor)``."""
        owners = np.searchsorted(self._ends, numbers, side="right")
        firsts = np.concatenate(([0], self._ends[:-1]))
        return np.stack(
            [
                self._views[owner][number - firsts[owner]]
                for owner, number in zip(owners, numbers, strict=True)
            ]
        )

    def machines(self, numbers: NDArray[np.int64]) -> list[MachineId]:
        """Whose the windows of these numbers are."""
        owners = np.searchsorted(self._ends, numbers, side="right")
        return [self._machines[owner] for owner in owners]

    def some(self, numbers: NDArray[np.int64], most: int) -> NDArray[np.float32]:
        """Of the windows of these numbers at most `most`, spread evenly over them."""
        return self.take(thinned(numbers, most))

    def even_numbers(self, most: int) -> NDArray[np.int64]:
        """Numbers of at most `most` windows, spread evenly over all."""
        return thinned(np.arange(len(self)), most)

    def evenly(self, most: int) -> NDArray[np.float32]:
        """Copy those windows."""
        return self.take(self.even_numbers(most))

    def blocks(self, count: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Cut every machine's time into blocks: the windows inside each, and those well outside it.

        At least a window of rows lies between the two. A machine that has nothing outside a block has
        nothing inside it either: others cannot say what is normal for it. Empty blocks are not given.
        """
        by_machine: dict[MachineId, list[NDArray[np.int64]]] = {}
        for view, end, name in zip(self._views, self._ends, self._machines, strict=True):
            by_machine.setdefault(name, []).append(np.arange(end - len(view), end))
        place = np.zeros(len(self), dtype=np.int64)  # among the windows of its machine
        total = np.zeros(len(self), dtype=np.int64)  # windows of its machine
        owner = np.zeros(len(self), dtype=np.int64)
        for machine, parts in enumerate(by_machine.values()):
            own = np.concatenate(parts)
            place[own], total[own], owner[own] = np.arange(len(own)), len(own), machine
        for block in range(count):
            start, stop = block * total // count, (block + 1) * total // count
            inside = (place >= start) & (place < stop)
            outside = (place <= start - 2 * self.size) | (place >= stop + 2 * self.size - 1)
            inside &= np.isin(owner, owner[outside])
            if inside.any():
                yield np.flatnonzero(inside), np.flatnonzero(outside)
