"""Windows over a segment: where they start, how they are seen, how their scores meet in a row.

Windows are anchored at the segment's first row and step by `stride`. Rows behind the last whole
step are covered by one more window that ends with the segment; it speaks for those rows only, so
that no other row's score depends on where the segment ends.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def sliding(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Every window of ``(row, sensor)`` values, as a view ``(window, size, sensor)``."""
    return sliding_window_view(values, size, axis=0).swapaxes(1, 2)


def window_starts(n_rows: int, size: int, stride: int) -> NDArray[np.int64]:
    """First rows of the anchored windows that fit into `n_rows` rows."""
    return np.arange(0, max(n_rows - size + 1, 0), stride, dtype=np.int64)


class TrainingWindows:
    """Every window of several segments, drawn in batches without being copied first.

    Args:
        segments: Scaled values ``(row, sensor)``; those shorter than a window give none.
        size: Rows of a window.
    """

    def __init__(self, segments: list[NDArray[np.float32]], size: int) -> None:
        self._size = size
        self._views = [sliding(values, size) for values in segments if len(values) >= size]
        self._ends = np.cumsum([len(view) for view in self._views], dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def none(self) -> "TrainingWindows":
        """No windows of the same size."""
        return TrainingWindows([], self._size)

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

    def evenly(self, most: int) -> NDArray[np.float32]:
        """At most `most` windows, spread evenly over all."""
        count = min(most, len(self))
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(np.int64))
