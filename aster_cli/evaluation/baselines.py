"""Simple peers: detectors that anyone would try first, so that a better score means something.

=============  =====================================================================================
name           score of a row
=============  =====================================================================================
`random`       uniform noise: what no detector at all gets
`mahalanobis`  distance to the training mean, in units of the (shrunk) training covariance
`pca`          squared error after keeping the directions that hold 95 % of the variance
`knn`          mean distance to the 5 nearest of 10,000 training windows of 20 rows, averaged over
               the windows that cover the row
`iforest`      how few random cuts set the row apart (Liu, Ting, Zhou, ICDM 2008)
=============  =====================================================================================

All are fitted on normal rows, none looks at a label, and none has been tuned. Scores are higher
for worse and comparable within one baseline only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.results import FloatArray

Segment = NDArray[np.float32]

Part = TypeVar("Part")

# Windows per nearest-neighbour query: their flattened copies stay within some 100 MB.
_WINDOW_BATCH = 4096


class Baseline(Protocol):
    """A detector of row scores; a segment is one contiguous, scaled stretch without NaN."""

    def fit(self, values: list[Segment]) -> None:
        """Learn what is normal from segments, each ``(row, sensor)``.

        Raises:
            DataError: The segments are too short to learn anything from.
        """

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return one score per row, higher for worse, for each ``(row, sensor)`` segment.

        Raises:
            RuntimeError: The baseline has not been fitted.
        """


@dataclass
class RandomBaseline:
    """Seeded uniform noise, the same at every call."""

    seed: int

    def fit(self, values: list[Segment]) -> None:
        """Learn nothing."""

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return one draw from [0, 1) per row."""
        rng = np.random.default_rng(self.seed)
        return [rng.random(len(segment)) for segment in values]


@dataclass
class MahalanobisBaseline:
    """Mahalanobis distance with the Ledoit-Wolf covariance.

    Shrinkage keeps the covariance invertible where sensors are redundant or constant.
    """

    _covariance: Any = field(default=None, init=False, repr=False)

    def fit(self, values: list[Segment]) -> None:
        """Estimate mean and covariance of the rows."""
        from sklearn.covariance import LedoitWolf

        self._covariance = LedoitWolf().fit(_stacked(values))

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return each row's distance to the mean."""
        covariance = _fitted(self._covariance)
        return [
            np.sqrt(covariance.mahalanobis(segment.astype(np.float64)))
            if len(segment)
            else np.empty(0)
            for segment in values
        ]


@dataclass
class PcaBaseline:
    """Mean squared error of a row after projection on the main directions of training.

    Attributes:
        variance: Share of the training variance that the kept directions hold.
    """

    variance: float = 0.95
    _mean: FloatArray | None = field(default=None, init=False, repr=False)
    _directions: FloatArray | None = field(default=None, init=False, repr=False)

    def fit(self, values: list[Segment]) -> None:
        """Keep the fewest directions that hold the wanted share of the variance."""
        rows = _stacked(values)
        self._mean = rows.mean(axis=0)
        centred = rows - self._mean
        variances, directions = np.linalg.eigh(centred.T @ centred / len(rows))
        shares = np.cumsum(variances[::-1]) / max(variances.sum(), np.finfo(np.float64).tiny)
        # One direction at least stays out, or the error would be nothing but rounding.
        n_kept = min(int(np.searchsorted(shares, self.variance)) + 1, rows.shape[1] - 1)
        self._directions = directions[:, ::-1][:, :n_kept]

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return each row's reconstruction error."""
        mean, directions = _fitted(self._mean), _fitted(self._directions)
        errors = []
        for segment in values:
            centred = segment.astype(np.float64) - mean
            lost = centred - (centred @ directions) @ directions.T
            errors.append(np.square(lost).mean(axis=1))
        return errors


@dataclass
class KnnBaseline:
    """Sub-sequence nearest neighbours: exact Euclidean distances between flattened windows.

    Attributes:
        window_size: Rows in a window; the rows of a shorter segment get NaN.
        k: Neighbours whose distances are averaged, fewer where training has fewer windows.
        max_windows: Training windows kept, spread evenly over all of them.
    """

    window_size: int = 20
    k: int = 5
    max_windows: int = 10_000
    _neighbours: Any = field(default=None, init=False, repr=False)

    def fit(self, values: list[Segment]) -> None:
        """Store windows of the training segments."""
        from sklearn.neighbors import NearestNeighbors

        windows = [view for segment in values if (view := self._windows(segment)) is not None]
        if not windows:
            raise DataError(
                f"no training segment holds a window of {self.window_size} rows",
                where="baseline knn",
                hint="train on a longer log",
            )
        ends = np.cumsum([len(view) for view in windows])
        picked = np.linspace(0, ends[-1] - 1, min(ends[-1], self.max_windows)).astype(np.int64)
        stored = np.concatenate(
            [
                view[picked[(picked >= end - len(view)) & (picked < end)] - (end - len(view))]
                for view, end in zip(windows, ends, strict=True)
            ]
        )
        self._neighbours = NearestNeighbors(
            n_neighbors=min(self.k, len(stored)), algorithm="brute"
        ).fit(stored.reshape(len(stored), -1))

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return for each row the mean distance of the windows that cover it."""
        neighbours = _fitted(self._neighbours)
        return [self._score_segment(neighbours, segment) for segment in values]

    def _score_segment(self, neighbours: Any, segment: Segment) -> FloatArray:
        windows = self._windows(segment)
        if windows is None:
            return np.full(len(segment), np.nan)
        distances = np.concatenate(
            [
                neighbours.kneighbors(
                    windows[first : first + _WINDOW_BATCH].reshape(-1, windows[0].size)
                )[0].mean(axis=1)
                for first in range(0, len(windows), _WINDOW_BATCH)
            ]
        ).astype(np.float64)
        cover = np.ones(self.window_size)
        summed = np.convolve(distances, cover)
        return np.asarray(summed / np.convolve(np.ones(len(windows)), cover))

    def _windows(self, segment: Segment) -> NDArray[np.float32] | None:
        """Return all windows as a view, ``(window, sensor, time)``; None if there is none."""
        if len(segment) < self.window_size:
            return None
        return sliding_window_view(segment, self.window_size, axis=0)


@dataclass
class IsolationForestBaseline:
    """Isolation Forest over single rows, with scikit-learn's defaults."""

    seed: int
    _forest: Any = field(default=None, init=False, repr=False)

    def fit(self, values: list[Segment]) -> None:
        """Grow the trees."""
        from sklearn.ensemble import IsolationForest

        self._forest = IsolationForest(random_state=self.seed).fit(_stacked(values))

    def score(self, values: list[Segment]) -> list[FloatArray]:
        """Return the negated score of scikit-learn, which is lower for worse."""
        forest = _fitted(self._forest)
        return [
            -forest.score_samples(segment.astype(np.float64)) if len(segment) else np.empty(0)
            for segment in values
        ]


BASELINES: dict[str, Callable[[int], Baseline]] = {
    "random": RandomBaseline,
    "mahalanobis": lambda seed: MahalanobisBaseline(),
    "pca": lambda seed: PcaBaseline(),
    "knn": lambda seed: KnnBaseline(),
    "iforest": IsolationForestBaseline,
}
"""Every baseline by name, as a factory that takes a seed."""


def _stacked(values: list[Segment]) -> FloatArray:
    """Return all rows of all segments, ``(row, sensor)``."""
    if sum(len(segment) for segment in values) < 2:
        raise DataError(
            "fewer than two training rows", where="baselines", hint="train on a longer log"
        )
    return np.concatenate(values).astype(np.float64)


def _fitted(part: Part | None) -> Part:
    if part is None:
        raise RuntimeError("the baseline must be fitted before it can score")
    return part
