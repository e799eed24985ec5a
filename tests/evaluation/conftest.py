"""Labelled scores that are the same integers on every machine, for the published numbers."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Case = tuple[NDArray[np.bool_], NDArray[np.float64]]

# Name: rows, label events [start, stop), seed, distinct score levels, lift of anomalous rows, and
# how many rows the lift comes late.
_CASES = {
    "plain": (2000, [(300, 340), (700, 712), (1200, 1290), (1600, 1620)], 0, 1009, 0.5, 0),
    "crowded": (
        600,
        [(100, 110), (112, 113), (118, 130), (150, 151), (300, 330), (341, 350)],
        1,
        1009,
        0.6,
        3,
    ),
    "edges": (500, [(0, 20), (240, 260), (485, 500)], 2, 1009, 0.7, 0),
    "ties": (1000, [(200, 260), (500, 505), (700, 780)], 3, 7, 0.5, 0),
    "short": (90, [(30, 40), (60, 64)], 4, 1009, 0.8, -2),
    "points": (1500, [(200, 201), (900, 901), (905, 906)], 5, 1009, 0.9, 0),
}


@pytest.fixture
def reference_case() -> Callable[[str], Case]:
    """Return the labels and scores of a named case."""

    def build(name: str) -> Case:
        n_rows, events, seed, levels, lift, delay = _CASES[name]
        row = np.arange(n_rows, dtype=np.int64)
        noise = (row * row * 31 + row * 7919 * (seed + 1) + seed * seed * 17) % 1009
        labels = np.zeros(n_rows, dtype=np.bool_)
        for start, stop in events:
            labels[start:stop] = True
        lifted = np.where(np.roll(labels, delay), int(lift * levels), 0)
        return labels, (noise * levels // 1009 + lifted).astype(np.float64)

    return build
