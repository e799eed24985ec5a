"""VUS-ROC and VUS-PR: areas under the range curves, averaged over all buffer lengths.

Definition: Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin, *Volume Under the Surface*, PVLDB
15(11), 2022. A buffer of length l widens every label event by l // 2 rows on both sides; a buffer
row at distance d weighs sqrt(1 - d / l), and weights that overlap add up to at most 1.
Recall is the weight found, over (about) the weight there is, times the share of widened events that
any flagged row touches. The curve goes through thresholds taken at evenly spaced ranks of the
scores; the volume is the mean of the areas for l = 0, 1, …, maximum.

Published implementations disagree. `Definition` chooses between the two that people report:

==================  ============================  ===============================
point               "current"                     "pvldb-2022"
==================  ============================  ===============================
found in            vus 0.0.6, TSB-AD 1.5         vus 0.0.3, TAB, aeon 1.6 [1]
buffer after event  l // 2 rows                   l // 2 - 1 rows
weight there is     label rows + half the buffer  label rows + half the buffer
                    weight *found*
events that meet    join if their buffers share   join if their buffers touch
                    a row
area under PR       steps, as average precision   trapezoids
==================  ============================  ===============================

[1] TimeEval and dtaianomaly too, in their compatibility mode only; by default their buffers are
linear and never join. The longest buffer differs as well: the authors advise the median event
length (the default in :mod:`aster_cli.evaluation.metrics`), TAB computes that median and then
overwrites it by 100, walking l = 0, …, 200, and TSB-AD takes the dominant period. Constant scores
are 0 in aeon; here, as in the authors' code, they get their curve.
"""

from typing import Literal, NamedTuple

import numpy as np

from aster_cli.evaluation.runs import BoolArray, IntArray, Runs, find_runs
from aster_cli.results import FloatArray

Definition = Literal["current", "pvldb-2022"]

_NO_EVENT = np.iinfo(np.int64).max


class VusScores(NamedTuple):
    """The two volumes, each between 0 and 1."""

    roc: float
    pr: float


def volume_under_surface(
    labels: BoolArray,
    scores: FloatArray,
    bounds: IntArray,
    *,
    max_buffer: int,
    n_thresholds: int = 250,
    definition: Definition = "current",
) -> VusScores:
    """Compute VUS-ROC and VUS-PR.

    Buffers end with their machine and events of two machines never join; thresholds and counts
    are pooled over all machines, so that one machine alone gives the published number.

    Args:
        labels: ``(row,)``, with at least one True and one False.
        scores: ``(row,)`` finite, higher is worse.
        bounds: ``(machine + 1,)`` row offsets of the machines.
        max_buffer: Longest buffer in rows, 0 or more.
        n_thresholds: Thresholds on the curve, at evenly spaced ranks from the highest score to
            the lowest.
        definition: See the module's docstring.
    """
    events = find_runs(labels, bounds)
    n_rows, n_labels = len(labels), int(labels.sum())
    ranks = np.linspace(0, n_rows - 1, n_thresholds).astype(np.int64)
    thresholds = np.sort(scores)[::-1][ranks]
    # A row is flagged from one threshold on and stays flagged, so every count over rows becomes a
    # histogram of that first threshold, summed up. That replaces the loop over thresholds.
    first = np.searchsorted(-thresholds, -scores, side="left")

    def found(rows: IntArray, weights: FloatArray | None = None) -> FloatArray:
        counts = np.bincount(rows, weights=weights, minlength=n_thresholds)
        return np.cumsum(counts, dtype=np.float64)

    n_flagged = found(first)
    labels_found = found(first[labels])
    after, before = _distances(np.flatnonzero(~labels), events, bounds)
    is_near = np.minimum(after[0], before[0]) <= max_buffer // 2
    after, before = after[:, is_near], before[:, is_near]
    first_near = first[~labels][is_near]

    areas = np.empty((max_buffer + 1, 2))
    for buffer in range(max_buffer + 1):
        reach_before = buffer // 2
        reach_after = max(reach_before - 1, 0) if definition == "pvldb-2022" else reach_before
        weights = np.minimum(
            _slopes(after, reach_after, buffer) + _slopes(before, reach_before, buffer), 1.0
        )
        buffer_found = found(first_near, weights)
        n_found = labels_found + buffer_found
        counted = weights.sum() if definition == "pvldb-2022" else buffer_found
        n_positive = n_labels + counted / 2
        hit = _share_hit(first, events, bounds, reach_before, reach_after, definition, n_thresholds)
        recall = np.minimum(n_found / n_positive, 1.0) * hit
        false_rate = (n_flagged - n_found) / (n_rows - n_positive)
        areas[buffer] = _areas(recall, false_rate, n_found / n_flagged, definition)
    roc, pr = areas.mean(axis=0)
    return VusScores(float(roc), float(pr))


def _distances(rows: IntArray, events: Runs, bounds: IntArray) -> tuple[IntArray, IntArray]:
    """Return how far each row lies after the two last events and before the two next ones.

    Two on a side are enough: two overlapping buffers already reach the full weight of 1.

    Returns:
        Twice ``(2, row)``, nearest first; a huge number where the machine has no such event.
    """
    machines = np.searchsorted(bounds, rows, side="right") - 1
    after = np.full((2, len(rows)), _NO_EVENT)
    before = np.full((2, len(rows)), _NO_EVENT)
    next_event = np.searchsorted(events.starts, rows, side="right")
    for nth in range(2):
        index = next_event - 1 - nth
        exists = index >= 0
        exists[exists] = events.machines[index[exists]] == machines[exists]
        after[nth, exists] = rows[exists] - events.stops[index[exists]] + 1
        index = next_event + nth
        exists = index < len(events)
        exists[exists] = events.machines[index[exists]] == machines[exists]
        before[nth, exists] = events.starts[index[exists]] - rows[exists]
    return after, before


def _slopes(distances: IntArray, reach: int, buffer: int) -> FloatArray:
    """Return the buffer weights of one side, ``(2, row)`` distances to ``(row,)`` sums."""
    if reach == 0:
        return np.zeros(distances.shape[1])
    covered = np.where(distances <= reach, distances, buffer)
    return np.asarray(np.sqrt(1.0 - covered / buffer).sum(axis=0))


def _share_hit(
    first: IntArray,
    events: Runs,
    bounds: IntArray,
    reach_before: int,
    reach_after: int,
    definition: Definition,
    n_thresholds: int,
) -> FloatArray:
    """Return the share of widened events with a flagged row, ``(threshold,)``."""
    starts = np.maximum(events.starts - reach_before, bounds[events.machines])
    stops = np.minimum(events.stops + reach_after, bounds[events.machines + 1])
    room = 1 if definition == "pvldb-2022" else 0
    is_apart = stops[:-1] + room <= starts[1:]
    is_apart |= events.machines[1:] != events.machines[:-1]
    starts = starts[np.concatenate(([True], is_apart))]
    stops = stops[np.concatenate((is_apart, [True]))]
    # reduceat takes [start, stop) from every other entry; the extra entry lets a stop be the end.
    edges = np.column_stack((starts, stops)).ravel()
    first_in_event = np.minimum.reduceat(np.append(first, n_thresholds), edges)[::2]
    hits = np.bincount(first_in_event, minlength=n_thresholds)
    return np.asarray(np.cumsum(hits) / len(starts))


def _areas(
    recall: FloatArray,
    false_rate: FloatArray,
    precision: FloatArray,
    definition: Definition,
) -> tuple[float, float]:
    """Return the areas under the ROC and the PR curve, all ``(threshold,)``."""
    widths = np.diff(recall, prepend=0.0)
    heights = precision
    if definition == "pvldb-2022":
        heights = (precision + np.concatenate(([1.0], precision[:-1]))) / 2
    # The ROC curve is closed at (1, 1): recall may stay below 1 when an event is never touched.
    hit_rates = np.concatenate(([0.0], recall, [1.0]))
    false_rates = np.concatenate(([0.0], false_rate, [1.0]))
    return float(np.trapezoid(hit_rates, false_rates)), float(widths @ heights)
