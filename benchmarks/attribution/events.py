"""The labelled events with known causes, and how well a ranking of sensors meets them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aster_cli.results import FloatArray

METRICS = ("HitRate@100%", "HitRate@150%", "NDCG")


@dataclass(frozen=True, slots=True)
class CausedEvent:
    """A labelled event whose causes are known.

    Attributes:
        start: Its first row.
        stop: The row after its last.
        causes: The sensors behind it.
    """

    start: int
    stop: int
    causes: frozenset[str]


def caused_events(labels: NDArray[np.int8], root_causes: Path) -> list[CausedEvent]:
    """Match causes to the runs of labelled rows by overlap; runs that no cause overlaps are left out.

    Args:
        labels: ``(row,)`` of the test log.
        root_causes: CSV of first and last rows, counted from 0, and sensors with blanks between.
    """
    with root_causes.open(encoding="utf-8", newline="") as file:
        known = [
            (int(row["start"]), int(row["end"]), row["sensors"].split())
            for row in csv.DictReader(file)
        ]
    edges = np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0)).tolist()
    events = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        causes = frozenset(
            sensor
            for first, last, sensors in known
            if first < stop and last >= start
            for sensor in sensors
        )
        if causes:
            events.append(CausedEvent(start, stop, causes))
    return events


def measure(importance: FloatArray, is_cause: NDArray[np.bool_]) -> dict[str, float]:
    """Of one event: hit rates and NDCG of the sensors' order.

    HitRate@P% is the share of the n causes among the first ⌊P·n⌋ sensors (Su et al., KDD 2019). NDCG
    is over all sensors, a cause's gain being 1 (Järvelin and Kekäläinen, TOIS 2002). Of sensors that
    are equally important the first comes first.
    """
    n = int(is_cause.sum())
    found = is_cause[np.argsort(-importance, kind="stable")]
    discounts = 1.0 / np.log2(np.arange(2, len(found) + 2))
    values = (
        found[:n].sum() / n,
        found[: n * 3 // 2].sum() / n,
        (found * discounts).sum() / discounts[:n].sum(),
    )
    return {name: round(float(value), 4) for name, value in zip(METRICS, values, strict=True)}
