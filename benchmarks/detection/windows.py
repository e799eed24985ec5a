"""Windows over the rows of a segment, one starting at every row, and their scores back in rows."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aster_cli.results import FloatArray

Rows = NDArray[np.float32]
"""Scaled values without a missing cell, ``(row, sensor)``."""


def windows_of(segment: Rows, size: int) -> NDArray[np.float32]:
    """Every window as a view, ``(window, row, sensor)``; none where the segment is shorter."""
    if len(segment) < size:
        return np.empty((0, size, segment.shape[1]), dtype=np.float32)
    return sliding_window_view(segment, size, axis=0).swapaxes(1, 2)


def spread_evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `count` positions, first and last included."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def training_windows(segments: list[Rows], size: int, most: int | None = None) -> Rows:
    """Copies of the segments' windows, ``(window, row, sensor)``, at most `most` of them.

    Raises:
        ValueError: No segment holds a window.
    """
    views = [windows_of(segment, size) for segment in segments]
    count = sum(map(len, views))
    if count == 0:
        raise ValueError(f"no training segment holds a window of {size} rows")
    picked = spread_evenly(count, most or count)
    ends = np.cumsum([len(view) for view in views])
    parts = np.split(picked, np.searchsorted(picked, ends[:-1]))
    return np.concatenate(
        [view[part - (end - len(view))] for view, part, end in zip(views, parts, ends, strict=True)]
    )


def mean_over_windows(scores: FloatArray, size: int, n_rows: int) -> FloatArray:
    """Each row's mean over the windows that cover it; NaN for every row of too short a segment.

    Args:
        scores: ``(window,)``, or ``(window, row)`` where every row of a window has its own.
        size: Rows of a window.
        n_rows: Rows of the segment.
    """
    if len(scores) == 0:
        return np.full(n_rows, np.nan)
    per_row = np.broadcast_to(scores.reshape(len(scores), -1), (len(scores), size))
    total, cover = np.zeros(n_rows), np.zeros(n_rows)
    for place in range(size):
        total[place : place + len(scores)] += per_row[:, place]
        cover[place : place + len(scores)] += 1
    return total / cover
