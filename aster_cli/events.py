"""Anomalous rows that belong together, followed while rows go by.

A run of anomalous rows opens an event; the next run joins it when no more than `merge_gap` rows of
the machine lie between them, and no gap.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.attribution import TOP, Attribution
from aster_cli.results import Event, FloatArray, MachineId, SensorShare, Snapshot


def event_id(model_id: str, machine: MachineId, first: object) -> str:
    """Twelve hexadecimal digits that name an event, whichever run finds it."""
    text = "\x1f".join((model_id, *machine, str(first)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(slots=True)
class _Growing:
    """An event that may still grow."""

    event_id: str
    start: object
    first_time: float
    end: object = None
    last_time: float = 0.0
    n_rows: int = 0
    peak_time: object = None
    peak_score: float = -np.inf
    severity: float = 0.0
    shares: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    directions: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def snapshot(self) -> Snapshot:
        """Every field, the sensors' sums as lists of pairs."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        pairs = {name: list(values[name].items()) for name in ("shares", "directions")}
        return values | pairs

    @classmethod
    def restored(cls, snapshot: Snapshot) -> "_Growing":
        """The event of a snapshot."""
        pairs = {name: defaultdict(float, snapshot[name]) for name in ("shares", "directions")}
        return cls(**(snapshot | pairs))


class EventTracker:
    """Groups one machine's anomalous rows into events, batch after batch.

    Args:
        machine: Whose rows these are.
        model_id: Which model scored them.
        merge_gap: The most rows between two runs of one event.
        longest_step: The longest step of the clock that is no gap.
        seconds_per_unit: Of the clock; None for counters.
        sensors: Sensor names.
    """

    def __init__(
        self,
        machine: MachineId,
        *,
        model_id: str,
        merge_gap: int,
        longest_step: float,
        seconds_per_unit: float | None,
        sensors: tuple[str, ...],
    ) -> None:
        self._machine = machine
        self._model_id = model_id
        self._merge_gap = merge_gap
        self._longest_step = longest_step
        self._seconds = seconds_per_unit
        self._sensors = sensors
        self._rows_seen = 0
        self._last_time = np.inf
        self._gaps_seen = 0
        self._last_anomaly = -1  # the machine's row number
        self._last_stretch = 0  # gaps before that row
        self._growing: _Growing | None = None
        self.closed: list[Event] = []

    def follow(
        self,
        anomalous: NDArray[np.int64],
        time: FloatArray,
        *,
        timestamps: pl.Series,
        scores: FloatArray,
        severities: FloatArray,
        attribution: Attribution,
    ) -> list[str]:
        """Take the machine's next rows; return the event of each anomalous one.

        Args:
            anomalous: Places of the anomalous rows among them, rising.
            time: ``(row,)`` the clock of all of them, of whatever status.
            timestamps: The log's own timestamps of the anomalous rows.
            scores: Their scores.
            severities: Their severities.
            attribution: Their leading sensors.
        """
        names = []
        gaps = np.diff(time, prepend=self._last_time) > self._longest_step
        stretches = self._gaps_seen + np.cumsum(gaps)
        for i, row in enumerate(anomalous.tolist()):
            place, now, stretch = row + self._rows_seen, float(time[row]), int(stretches[row])
            far = place - self._last_anomaly - 1 > self._merge_gap
            if self._growing is None or far or stretch != self._last_stretch:
                self._close(still_open=False)
                first = timestamps[i]
                self._growing = _Growing(event_id(self._model_id, self._machine, first), first, now)
            self._last_anomaly, self._last_stretch = place, stretch
            event = self._growing
            names.append(event.event_id)
            event.n_rows += 1
            event.end, event.last_time = timestamps[i], now
            event.severity = max(event.severity, float(severities[i]))
            if scores[i] > event.peak_score:
                event.peak_time, event.peak_score = timestamps[i], float(scores[i])
            for sensor, share, direction in zip(
                attribution.sensors[i].tolist(),
                attribution.shares[i].tolist(),
                attribution.directions[i].tolist(),
                strict=True,
            ):
                event.shares[sensor] += share
                event.directions[sensor] += share * direction
        self._rows_seen += len(time)
        if len(time):
            self._last_time, self._gaps_seen = float(time[-1]), int(stretches[-1])
        if self._growing and self._rows_seen - self._last_anomaly - 1 > self._merge_gap:
            self._close(still_open=False)
        return names

    @property
    def open_event(self) -> str | None:
        """The name of the event that may still grow."""
        return None if self._growing is None else self._growing.event_id

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here; events that are closed are not part of it."""
        return {
            "rows_seen": self._rows_seen,
            "last_time": self._last_time,
            "gaps_seen": self._gaps_seen,
            "last_anomaly": self._last_anomaly,
            "last_stretch": self._last_stretch,
            "growing": None if self._growing is None else self._growing.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a tracker that was opened alike."""
        growing = snapshot["growing"]
        self._rows_seen, self._last_time = snapshot["rows_seen"], snapshot["last_time"]
        self._gaps_seen = snapshot["gaps_seen"]
        self._last_anomaly = snapshot["last_anomaly"]
        self._last_stretch = snapshot["last_stretch"]
        self._growing = None if growing is None else _Growing.restored(growing)

    def finish(self) -> None:
        """The log has ended; an event near its end is still open."""
        self._close(still_open=True)

    def _close(self, *, still_open: bool) -> None:
        event, self._growing = self._growing, None
        if event is None:
            return
        leading = sorted(event.shares.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        total = sum(share for _, share in leading)
        self.closed.append(
            Event(
                event_id=event.event_id,
                machine=self._machine,
                start=event.start,
                end=event.end,
                duration_s=None
                if self._seconds is None
                else (event.last_time - event.first_time) * self._seconds,
                n_rows=event.n_rows,
                peak_time=event.peak_time,
                peak_score=event.peak_score,
                severity=event.severity,
                top_sensors=tuple(
                    SensorShare(
                        self._sensors[sensor], share / total, int(np.sign(event.directions[sensor]))
                    )
                    for sensor, share in leading
                ),
                open=still_open,
            )
        )
