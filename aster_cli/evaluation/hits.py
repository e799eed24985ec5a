"""Labelled events one by one: which were met, when, and how far they stood out."""

from dataclasses import dataclass

import numpy as np

from aster_cli.evaluation.comparison import Truth
from aster_cli.evaluation.runs import find_runs, machine_bounds
from aster_cli.results import FloatArray


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """Consecutive labelled rows of one machine; of those that have a score.

    Attributes:
        first: Number of its first row in the log's own order.
        last: Of its last row.
        rows: How many there are.
        flagged: How many of them lie above the threshold.
        first_flagged: The first one of them; None where the event was missed.
        highest: The highest score.
    """

    first: int
    last: int
    rows: int
    flagged: int
    first_flagged: int | None
    highest: float


def labelled_events(
    truth: Truth, scores: FloatArray, threshold: FloatArray
) -> tuple[LabelledEvent, ...]:
    """The events that `aster_cli.evaluation.metrics` counts, in the order of machine and time.

    Args:
        truth: The labels.
        scores: ``(row,)`` NaN where a row has none.
        threshold: ``(row,)`` a row is flagged where its score is above.
    """
    order = truth.in_time
    order = order[~np.isnan(scores[order])]
    order = order[np.argsort(truth.machines[order], kind="stable")]
    flags = scores[order] > threshold[order]
    runs = find_runs(truth.labels[order] == 1, machine_bounds(truth.machines[order]))
    found = []
    for start, stop in zip(runs.starts.tolist(), runs.stops.tolist(), strict=True):
        hits = np.flatnonzero(flags[start:stop])
        found.append(
            LabelledEvent(
                first=int(order[start]),
                last=int(order[stop - 1]),
                rows=stop - start,
                flagged=len(hits),
                first_flagged=int(order[start + hits[0]]) if len(hits) else None,
                highest=float(scores[order[start:stop]].max()),
            )
        )
    return tuple(found)
