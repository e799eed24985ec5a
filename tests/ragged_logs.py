"""Logs with jitter, gaps and holes, cut into batches: what rooms that take rows are tested on."""

import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st

from aster_cli.config import MissingPolicy
from aster_cli.segments import PreparedRows, Segmenter


def prepare(
    time: Any, values: Any, *, longest: float, policy: MissingPolicy, cuts: tuple[int, ...] = ()
) -> PreparedRows:
    """Prepare rows pushed in the parts that `cuts` makes."""
    clock, cells = np.asarray(time), np.asarray(values, dtype=np.float64)
    cells = cells.reshape(len(clock), -1)
    segmenter = Segmenter(cells.shape[1], longest, policy)
    numbers = np.arange(len(clock))
    edges = [0, *cuts, len(clock)]
    parts = [
        segmenter.push(numbers[start:stop], clock[start:stop], cells[start:stop])
        for start, stop in itertools.pairwise(edges)
    ]
    parts.append(segmenter.finish())
    return PreparedRows(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.opens for part in parts]),
        np.concatenate([part.missing for part in parts]),
    )


@st.composite
def ragged_logs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Rising times with jitter and gaps, two sensors with holes."""
    n = draw(st.integers(1, 30))
    likely = [1.0] * 8 + [1.5, 3.0, 3.25, 9.0]
    steps = draw(st.lists(st.sampled_from(likely), min_size=n, max_size=n))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = rng.normal(size=(n, 2))
    values[rng.random((n, 2)) < draw(st.sampled_from([0.0, 0.2, 0.6]))] = np.nan
    return np.cumsum(steps), values


def cuts_of(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Places to cut `n` rows at; the same place twice is an empty batch."""
    return st.lists(st.integers(0, n), max_size=n).map(lambda cuts: tuple(sorted(cuts)))
