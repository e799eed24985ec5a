"""The peers that a user would pick instead, from PyOD and scikit-learn with their defaults.

===================  =======  =================================================================
peer                 window   from, and what it scores
===================  =======  =================================================================
`random`             -        NumPy: noise, what no detector at all gets
`knn-20`             20       PyOD ``KNN``: distance to the 5th nearest training window
`knn-40`             40       the same
`kmeans`             20       scikit-learn ``KMeans``, 20 clusters (KMeansAD with the defaults of
                              TimeEval and TSB-AD): distance to the nearest centre
`pca`                rows     scikit-learn ``PCA``, 95 % of the variance: squared error [1]
`mahalanobis`        rows     scikit-learn ``LedoitWolf``: squared distance to the mean
`isolation-forest`   20       PyOD ``IForest``
`hbos`               20       PyOD ``HBOS``
`lof`                20       PyOD ``LOF``
`ocsvm`              20       PyOD ``OCSVM``, of at most 10,000 training windows, evenly spread
`dense-autoencoder`  20       PyOD ``AutoEncoder``: distance to its reconstruction [2]
===================  =======  =================================================================

The LSTM and Transformer autoencoders are in :mod:`benchmarks.detection.deep_peers`. PyOD's own
bridge to time series, ``TimeSeriesOD``, gives its detectors flattened windows, one at every row; so
does this. A row's score is the mean over the windows that cover it. PCA and Mahalanobis see rows,
as in process monitoring (squared prediction error and Hotelling's T²). All see the whole training
log, but for OCSVM, whose training time grows with the square of its windows.

[1] PyOD's own ``PCA`` divides by the variance of every direction, which is zero for a log with a
constant sensor: all its scores are then infinite.
[2] Without its standardization, which divides by zero for a constant sensor: rows are scaled.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aster_cli.results import FloatArray
from benchmarks.detection.windows import Rows, mean_over_windows, training_windows, windows_of

_WINDOW_BATCH = 4096  # windows flattened at a time when scoring


class Peer(Protocol):
    """A detector of row scores; a segment is one contiguous stretch of scaled rows."""

    def fit(self, segments: list[Rows]) -> None:
        """Learn what is normal."""

    def score(self, segments: list[Rows]) -> list[FloatArray]:
        """One score a row, higher for worse, NaN where it has none."""


class TabularDetector(Protocol):
    """What PyOD calls a detector: it knows of samples, not of time."""

    def fit(self, samples: NDArray[Any]) -> object:
        """Learn from ``(sample, feature)``."""

    def decision_function(self, samples: NDArray[Any]) -> NDArray[Any]:
        """One score a sample, higher for worse."""


class OnRows:
    """A tabular detector whose samples are rows."""

    def __init__(self, detector: TabularDetector) -> None:
        self._detector = detector

    def fit(self, segments: list[Rows]) -> None:
        """Learn from every row."""
        self._detector.fit(np.concatenate(segments).astype(np.float64))

    def score(self, segments: list[Rows]) -> list[FloatArray]:
        """The rows' own scores."""
        return [
            self._detector.decision_function(segment.astype(np.float64)) for segment in segments
        ]


class OnWindows:
    """A tabular detector whose samples are windows, flattened.

    Args:
        detector: Knows of samples only.
        size: Rows of a window.
        most: Training windows that it can take; all of them if None.
    """

    def __init__(self, detector: TabularDetector, size: int = 20, most: int | None = None) -> None:
        self._detector = detector
        self._size = size
        self._most = most

    def fit(self, segments: list[Rows]) -> None:
        """Learn from windows of every segment."""
        windows = training_windows(segments, self._size, self._most)
        self._detector.fit(windows.reshape(len(windows), -1))

    def score(self, segments: list[Rows]) -> list[FloatArray]:
        """Each row's mean over the windows that cover it."""
        return [self._score(segment) for segment in segments]

    def _score(self, segment: Rows) -> FloatArray:
        windows = windows_of(segment, self._size)
        scores = [
            self._detector.decision_function(batch.reshape(len(batch), -1))
            for first in range(0, len(windows), _WINDOW_BATCH)
            if len(batch := windows[first : first + _WINDOW_BATCH])
        ]
        found = np.concatenate(scores).astype(np.float64) if scores else np.empty(0)
        return mean_over_windows(found, self._size, len(segment))


class RandomScores:
    """Uniform noise, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, segments: list[Rows]) -> None:
        """Learn nothing."""

    def score(self, segments: list[Rows]) -> list[FloatArray]:
        """One draw a row."""
        rng = np.random.default_rng(self._seed)
        return [rng.random(len(segment)) for segment in segments]


class PcaError:
    """Squared error after keeping the directions that hold 95 % of the training variance."""

    def __init__(self) -> None:
        from sklearn.decomposition import PCA

        self._pca: Any = PCA(n_components=0.95, svd_solver="full")

    def fit(self, samples: NDArray[Any]) -> None:
        """Find the directions."""
        self._pca.fit(samples)

    def decision_function(self, samples: NDArray[Any]) -> NDArray[Any]:
        """What the kept directions lose."""
        kept = self._pca.inverse_transform(self._pca.transform(samples))
        return np.asarray(np.square(samples - kept).sum(axis=1))


class Mahalanobis:
    """Squared distance to the mean, in units of the shrunk covariance (Ledoit, Wolf, 2004)."""

    def __init__(self) -> None:
        from sklearn.covariance import LedoitWolf

        self._covariance: Any = LedoitWolf()

    def fit(self, samples: NDArray[Any]) -> None:
        """Estimate mean and covariance."""
        self._covariance.fit(samples)

    def decision_function(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The samples' distances."""
        return np.asarray(self._covariance.mahalanobis(samples))


class KMeansDistance:
    """Distance to the nearest of 20 centres (Yairi, Kato, Hori, i-SAIRAS 2001)."""

    def __init__(self, seed: int) -> None:
        from sklearn.cluster import KMeans

        self._kmeans: Any = KMeans(n_clusters=20, random_state=seed)

    def fit(self, samples: NDArray[Any]) -> None:
        """Find the centres."""
        self._kmeans.fit(samples)

    def decision_function(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The samples' distances."""
        return np.asarray(self._kmeans.transform(samples).min(axis=1))


def _knn(window_size: int) -> Callable[[int], Peer]:
    def make(seed: int) -> Peer:
        from pyod.models.knn import KNN

        return OnWindows(KNN(), window_size)

    return make


def _isolation_forest(seed: int) -> Peer:
    from pyod.models.iforest import IForest

    return OnWindows(IForest(random_state=seed))


def _hbos(seed: int) -> Peer:
    from pyod.models.hbos import HBOS

    return OnWindows(HBOS())


def _lof(seed: int) -> Peer:
    from pyod.models.lof import LOF

    return OnWindows(LOF())


def _ocsvm(seed: int) -> Peer:
    from pyod.models.ocsvm import OCSVM

    return OnWindows(OCSVM(), most=10_000)


def _dense_autoencoder(seed: int) -> Peer:
    from pyod.models.auto_encoder import AutoEncoder

    return OnWindows(AutoEncoder(preprocessing=False, random_state=seed, verbose=0))


PEERS: dict[str, Callable[[int], Peer]] = {
    "random": RandomScores,
    "knn-20": _knn(20),
    "knn-40": _knn(40),
    "kmeans": lambda seed: OnWindows(KMeansDistance(seed)),
    "pca": lambda seed: OnRows(PcaError()),
    "mahalanobis": lambda seed: OnRows(Mahalanobis()),
    "isolation-forest": _isolation_forest,
    "hbos": _hbos,
    "lof": _lof,
    "ocsvm": _ocsvm,
    "dense-autoencoder": _dense_autoencoder,
}
"""Every peer by name, as a factory that takes a seed."""
