"""Rows in bins that a page can hold: few where nothing happens, single rows around the worst events.

A bin is a stretch of consecutive rows of one lane. It keeps the lowest and the highest value of
each curve and counts its anomalous rows, so nothing that stands out is lost by drawing bins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aster_cli.errors import DataError
from aster_cli.logs import Log
from aster_cli.report.rows import ReportRows
from aster_cli.results import FloatArray, MachineId

IntArray = NDArray[np.int64]
Float32Array = NDArray[np.float32]

_AROUND = 1.5  # lengths of an event that are shown finely on both of its sides
_AROUND_ROWS = 120  # and at least so many rows
_FINE_BINS = 1200  # of a single event, however long it is
_GAP_PERIODS = 5.0
_MOST_GAPS = 1000


@dataclass(frozen=True, slots=True)
class Bins:
    """Score rows in bins.

    Attributes:
        starts: ``(bin,)`` first row of each, in the order of `ReportRows`.
        bounds: ``(lane + 1,)`` where each lane's bins start.
        time: ``(bin,)`` distance of the first row from the clock's origin.
        until: ``(lane,)`` the same of the lane's last row.
        apart: ``(bin,)`` whether a gap lies before it.
        rows: ``(bin,)``.
        anomalies: ``(bin,)`` anomalous rows.
        low: ``(bin,)`` lowest score, NaN where no row has one.
        high: ``(bin,)`` highest score.
        severity: ``(bin,)`` highest severity.
    """

    starts: IntArray
    bounds: IntArray
    time: FloatArray
    until: FloatArray
    apart: NDArray[np.bool_]
    rows: IntArray
    anomalies: IntArray
    low: Float32Array
    high: Float32Array
    severity: Float32Array

    def __len__(self) -> int:
        """Return the number of bins."""
        return len(self.starts)


def bin_rows(rows: ReportRows, most: int) -> Bins:
    """Put rows into bins.

    Half of them are spread evenly over all rows; the others make the worst events finer, one by
    one, as long as there are any left. Every lane has at least one bin, and so has every stretch
    between two gaps, up to a thousand gaps.

    Args:
        rows: All rows.
        most: Bins, about.
    """
    apart = _gaps(rows)
    step = 1 if len(rows) <= most else -(-len(rows) // max(most // 2, 1))
    starts = [
        np.arange(first, last, step)
        for first, last in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True)
    ]
    starts.append(np.flatnonzero(apart)[:_MOST_GAPS])
    starts += _around_events(rows, step, most - sum(map(len, starts)))
    first = np.unique(np.concatenate(starts)).astype(np.int64)
    with np.errstate(invalid="ignore"):
        return Bins(
            starts=first,
            bounds=np.searchsorted(first, rows.bounds).astype(np.int64),
            time=rows.time[first],
            until=rows.time[rows.bounds[1:] - 1],
            apart=apart[first],
            rows=np.diff(first, append=len(rows)),
            anomalies=np.add.reduceat(rows.anomalous.astype(np.int64), first),
            low=np.fmin.reduceat(rows.score, first),
            high=np.fmax.reduceat(rows.score, first),
            severity=np.fmax.reduceat(rows.severity, first),
        )


def _gaps(rows: ReportRows) -> NDArray[np.bool_]:
    """Before which rows a machine was silent for longer than five of its usual steps."""
    apart = np.zeros(len(rows), dtype=np.bool_)
    for first, last in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True):
        steps = np.diff(rows.time[first:last])
        period = float(np.median(steps)) if len(steps) else 0.0
        if period > 0:
            apart[first + 1 : last] = steps > _GAP_PERIODS * period * (1 + 1e-9)
    return apart


def _around_events(rows: ReportRows, step: int, left: int) -> Iterable[IntArray]:
    """Finer bins around the events, the worst first, as long as any are left."""
    if step == 1:
        return
    for event in sorted(rows.events, key=lambda event: -event.severity):
        lane, start, stop = rows.span_of(event)
        margin = max(_AROUND_ROWS, int(_AROUND * (stop - start)))
        start = max(start - margin, int(rows.bounds[lane]))
        stop = min(stop + margin, int(rows.bounds[lane + 1]))
        fine = np.arange(start, stop, max(1, (stop - start) // _FINE_BINS))
        if stop < rows.bounds[lane + 1]:  # what follows is not part of the last of them
            fine = np.append(fine, stop)
        if len(fine) > left:
            return
        left -= len(fine)
        yield fine


class CurveBins:
    """The lowest and highest values of some curves in each bin, from rows as they come.

    Args:
        rows: What the bins are of.
        bins: Them.
        n_curves: How many curves.

    Attributes:
        low: ``(bin, curve)`` NaN where no row has a value.
        high: ``(bin, curve)`` the same.
        matched: Rows so far that are rows of the scores.
    """

    def __init__(self, rows: ReportRows, bins: Bins, n_curves: int) -> None:
        self._rows = rows
        self._bins = bins
        self.low = np.full((len(bins), n_curves), np.nan, dtype=np.float32)
        self.high = np.full((len(bins), n_curves), np.nan, dtype=np.float32)
        self.matched = 0

    def take(
        self, machine: MachineId, time: FloatArray, values: FloatArray, *, first: int = 0
    ) -> None:
        """Take rows of a machine; those of other machines or times than the scores' are left out.

        Args:
            machine: Whose rows they are.
            time: ``(row,)`` distances from the clock's origin.
            values: ``(row, curve)`` of some neighbouring curves.
            first: The first of these.
        """
        lane = self._rows.machines.get(machine)
        if lane is None:
            return
        bins = self._bins
        start, stop = int(bins.bounds[lane]), int(bins.bounds[lane + 1])
        own = bins.time[start:stop]
        inside = (time >= own[0]) & (time <= bins.until[lane])
        self.matched += int(inside.sum())
        if not inside.any():
            return
        place = np.searchsorted(own, time[inside], side="right") - 1 + start
        order = np.argsort(place, kind="stable")
        place, kept = place[order], values[inside][order].astype(np.float32)
        opens = np.flatnonzero(np.diff(place, prepend=-1))
        at = place[opens], slice(first, first + values.shape[1])
        self.low[at] = np.fmin(self.low[at], np.fmin.reduceat(kept, opens, axis=0))
        self.high[at] = np.fmax(self.high[at], np.fmax.reduceat(kept, opens, axis=0))


def binned_log(rows: ReportRows, bins: Bins, log: Log, names: Sequence[str]) -> CurveBins:
    """The values of some of a log's sensors in bins.

    Raises:
        DataError: No row of the log is one of the scores.
    """
    places = [log.schema.sensors.index(name) for name in names]
    found = CurveBins(rows, bins, len(places))
    for batch in log.batches():
        time = rows.clock.distances(batch.keys["timestamp"])
        for machine, own in batch.by_machine():
            found.take(machine, time[own], batch.values[own][:, places])
    if not found.matched:
        raise DataError(
            "none of its rows is one of the scores", where=log.name, hint="name their log"
        )
    return found
