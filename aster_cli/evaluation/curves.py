"""ROC and precision-recall curves over rows, thinned to what a chart can show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.results import FloatArray

_POINTS = 240

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """What every threshold would come to.

    Attributes:
        roc: (share of normal rows flagged, share of anomalous rows found), from no row to all.
        pr: (share of anomalous rows found, share of flagged rows that are anomalous), the same.
    """

    roc: Points
    pr: Points


def curves(labels: NDArray[np.generic], scores: FloatArray) -> Curves | None:
    """The curves of scores; None where rows with a score have one class only.

    Args:
        labels: ``(row,)`` 0 or 1.
        scores: ``(row,)`` NaN where a row has none.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    known = ~np.isnan(scores)
    truth, values = labels[known] == 1, scores[known]
    if truth.all() or not truth.any():
        return None
    false_alarms, found, _ = roc_curve(truth, values)
    precision, recall, _ = precision_recall_curve(truth, values)
    return Curves(
        roc=_thinned(false_alarms, found),
        # the last point of sklearn's is made up: no threshold has it
        pr=_thinned(recall[:-1][::-1], precision[:-1][::-1]),
    )


def _thinned(x: FloatArray, y: FloatArray) -> Points:
    """Points at even distances along a curve, its ends and single steps kept."""
    way = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
    stops = np.linspace(0.0, way[-1], _POINTS)
    kept = np.unique(np.append(np.searchsorted(way, stops), len(x) - 1).clip(0, len(x) - 1))
    chosen: Sequence[int] = kept.tolist() if len(x) > _POINTS else range(len(x))
    return tuple((float(x[i]), float(y[i])) for i in chosen)
