"""Curves and labelled events say what the metrics beside them say."""

import numpy as np
import polars as pl
import pytest

from aster_cli.evaluation.comparison import Truth
from aster_cli.evaluation.curves import curves
from aster_cli.evaluation.hits import labelled_events
from aster_cli.evaluation.metrics import evaluate


def test_the_area_below_the_drawn_curve_is_the_metric() -> None:
    """A thinned curve that encloses another area than the number beside it would be no evidence."""
    rng = np.random.default_rng(0)
    labels = (rng.random(5000) < 0.1).astype(np.int8)
    scores = rng.normal(size=5000) + labels
    drawn = curves(labels, scores)
    assert drawn is not None
    metrics = evaluate(labels, scores)
    x, y = np.array(drawn.roc).T
    assert len(x) <= 241
    assert np.trapezoid(y, x) == pytest.approx(metrics.auc_roc, abs=0.002)
    recall, precision = np.array(drawn.pr).T
    area = np.trapezoid(precision, recall)
    assert area == pytest.approx(metrics.auc_pr, abs=0.01)
    assert (recall[0], recall[-1]) == (pytest.approx(0.0, abs=0.01), 1.0)


def test_rows_without_a_score_and_single_classes_have_no_curve() -> None:
    labels = np.array([0, 1, 0, 1])
    assert curves(labels, np.array([0.1, np.nan, 0.3, np.nan])) is None
    drawn = curves(labels, np.array([0.1, 0.9, np.nan, 0.8]))
    assert drawn is not None
    assert drawn.roc[-1] == (1.0, 1.0)
    assert curves(np.zeros(3), np.ones(3)) is None


def test_labelled_events_are_those_that_the_metrics_count() -> None:
    """Two machines row by row, an unscored row, one event met late and one missed."""
    labels = np.array([0, 0, 1, 1, 1, 1, 1, 0, 0, 1])
    machines = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.9, np.nan, 0.8, 0.1, 0.1, 0.2])
    threshold = np.full(10, 0.5)
    truth = Truth(labels, machines, pl.Series(range(10)))
    found = labelled_events(truth, scores, threshold)
    metrics = evaluate(labels, scores, threshold=threshold, groups=machines)
    assert len(found) == metrics.n_events == 3
    assert np.mean([event.flagged > 0 for event in found]) == metrics.event_recall
    first = found[0]
    assert (first.first, first.last, first.rows, first.flagged) == (2, 6, 3, 2)
    assert (first.first_flagged, first.highest) == (4, 0.9)
    assert [event.first_flagged for event in found[1:]] == [None, None]
    assert [(event.first, event.last) for event in found[1:]] == [(3, 3), (9, 9)]
