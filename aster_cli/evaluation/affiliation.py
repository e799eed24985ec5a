"""Affiliation precision and recall: how near predictions and label events lie, against chance.

Definition: Huet, Navarro, Rossi, *Local Evaluation of Time Series Anomaly Detection Algorithms*,
KDD 2022, in its continuous form: row i is the interval [i, i + 1). Each machine's time axis is cut
into one zone per label event, half-way between neighbours. In a zone E with event J, a point at
distance d from its target is worth the probability that a uniform random point of E lies farther
away: to J for precision (averaged over the predictions in E), to the nearest prediction for recall
(averaged over J). Precision is the mean over the zones with a prediction, recall over all of them.

Both lie near 0.5 for random predictions, not near 0: an Affiliation-F1 of 0.67 is chance for a
detector that flags everything. Predictions on a machine without a label event belong to no zone and
are not seen here; the false-alarm rate sees them.
"""

from typing import NamedTuple

import numpy as np

from aster_cli.evaluation.runs import IntArray, Runs
from aster_cli.results import FloatArray


class AffiliationScores(NamedTuple):
    """Precision, recall and their harmonic mean, each between 0 and 1.

    `precision` is None where no zone holds a prediction; `f1` is 0 then.
    """

    precision: float | None
    recall: float
    f1: float


def affiliation(events: Runs, predicted: Runs, bounds: IntArray) -> AffiliationScores:
    """Compute the affiliation metrics, zones per machine, averages over the events of all.

    Args:
        events: At least one label event.
        predicted: Runs of flagged rows.
        bounds: ``(machine + 1,)`` row offsets of the machines.
    """
    start, stop = events.starts.astype(np.float64), events.stops.astype(np.float64)
    left, right = _zones(events, bounds)
    zone, begin, end = _cut(predicted, left, right)
    # From here on, everything about the zone is repeated for each of its pieces.
    j_start, j_stop, e_left, e_right = start[zone], stop[zone], left[zone], right[zone]
    inside = np.maximum(np.minimum(end, j_stop) - np.maximum(begin, j_start), 0.0)

    def worth_before(distance: FloatArray) -> FloatArray:
        return _worth_up_to(distance, j_start, j_stop, e_left, e_right)

    credit = inside + (
        worth_before(np.maximum(j_start - begin, 0.0))
        - worth_before(np.maximum(j_start - end, 0.0))
        + worth_before(np.maximum(end - j_stop, 0.0))
        - worth_before(np.maximum(begin - j_stop, 0.0))
    )
    flagged = np.bincount(zone, weights=end - begin, minlength=len(events))
    has_prediction = flagged > 0
    if not has_prediction.any():
        return AffiliationScores(None, 0.0, 0.0)
    credits = np.bincount(zone, weights=credit, minlength=len(events))
    precision = float((credits[has_prediction] / flagged[has_prediction]).mean())

    # Each piece answers for the part of the event that is nearer to it than to its neighbours.
    middle = (end[:-1] + begin[1:]) / 2
    is_shared = zone[:-1] == zone[1:]
    owns_from = np.concatenate((e_left[:1], np.where(is_shared, middle, e_left[1:])))
    owns_to = np.concatenate((np.where(is_shared, middle, e_right[:-1]), e_right[-1:]))
    low, high = np.maximum(j_start, owns_from), np.minimum(j_stop, owns_to)
    reached = (
        inside
        + _worth_after(np.maximum(low, end), high, end, e_left, e_right)
        # The part before the piece is the part after it in a mirror.
        + _worth_after(np.maximum(-high, -begin), -low, -begin, -e_right, -e_left)
    )
    recalls = np.bincount(zone, weights=reached, minlength=len(events)) / (stop - start)
    recall = float(recalls.mean())
    total = precision + recall
    return AffiliationScores(precision, recall, 2 * precision * recall / total if total else 0.0)


def _zones(events: Runs, bounds: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the borders of each event's zone, twice ``(event,)``."""
    left = bounds[events.machines].astype(np.float64)
    right = bounds[events.machines + 1].astype(np.float64)
    is_neighbour = events.machines[1:] == events.machines[:-1]
    middle = (events.stops[:-1] + events.starts[1:]) / 2
    left[1:][is_neighbour] = middle[is_neighbour]
    right[:-1][is_neighbour] = middle[is_neighbour]
    return left, right


def _cut(
    predicted: Runs, left: FloatArray, right: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Cut the predictions at the zones' borders: zone, begin and end of each piece, in order."""
    first = np.searchsorted(right, predicted.starts, side="right")
    last = np.searchsorted(left, predicted.stops, side="left") - 1
    # Machines without events have no zone, so a prediction there counts no piece.
    counts = np.maximum(last - first + 1, 0)
    source = np.repeat(np.arange(len(predicted)), counts)
    nth = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    zone = first[source] + nth
    begin = np.maximum(predicted.starts[source], left[zone])
    end = np.minimum(predicted.stops[source], right[zone])
    return zone, begin, end


def _worth_up_to(
    distance: FloatArray, start: FloatArray, stop: FloatArray, left: FloatArray, right: FloatArray
) -> FloatArray:
    """Integrate the worth of a predicted point over its distance to the event, from 0 on.

    A random point of the zone lies within d of the event with probability
    (|J| + min(d, room before J) + min(d, room after J)) / |E|.
    """

    def capped(room: FloatArray) -> FloatArray:
        near = np.minimum(distance, room)
        return near**2 / 2 + room * (distance - near)

    within = (stop - start) * distance + capped(start - left) + capped(right - stop)
    return np.asarray(distance - within / (right - left))


def _worth_after(
    low: FloatArray, high: FloatArray, pivot: FloatArray, left: FloatArray, right: FloatArray
) -> FloatArray:
    """Integrate the worth of event points in [low, high] whose nearest prediction ends at `pivot`.

    A random point of the zone lies within d = y - pivot of y with probability
    (d + min(d, right - y)) / |E|, as d never exceeds the room on the pivot's side.
    """
    high = np.maximum(high, low)
    turn = np.clip((pivot + right) / 2, low, high)

    def squares(begin: FloatArray, end: FloatArray, origin: FloatArray) -> FloatArray:
        return ((end - origin) ** 2 - (begin - origin) ** 2) / 2

    within = squares(low, high, pivot) + squares(low, turn, pivot) - squares(turn, high, right)
    return np.asarray((high - low) - within / (right - left))
