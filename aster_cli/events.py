"""Anomalous rows that belong together, followed while rows go by."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.alerts import OPENS, QUIET, AlarmStream
from aster_cli.attribution import TOP, Attribution
from aster_cli.results import Clock, Event, FloatArray, MachineId, SensorShare, Snapshot


def event_id(model_id: str, machine: MachineId, first: object) -> str:
    """Twelve hexadecimal digits that name an event, whichever run finds it."""
    text = "\x1f".join((model_id, *machine, str(first)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(slots=True)
class _Growing:
    """An event that may still grow."""

    event_id: str
    start: object
    first_time: int | float
    end: object = None
    last_time: int | float = 0.0
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
    """Groups one machine's alarms into events, batch after batch.

    Args:
        machine: Whose rows these are.
        model_id: Which model scored them.
        alarms: Says which rows are alarms, and which of them open an event.
        seconds_per_unit: Of the clock; None for counters.
        sensors: Sensor names.
    """

    def __init__(
        self,
        machine: MachineId,
        *,
        model_id: str,
        alarms: AlarmStream,
        seconds_per_unit: float | None,
        sensors: tuple[str, ...],
    ) -> None:
        self._machine = machine
        self._model_id = model_id
        self._alarms = alarms
        self._seconds = seconds_per_unit
        self._sensors = sensors
        self._growing: _Growing | None = None
        self.closed: list[Event] = []

    def follow(
        self,
        above: NDArray[np.bool_],
        time: Clock,
        *,
        timestamps: pl.Series,
        scores: FloatArray,
        severities: FloatArray,
        attribution: Attribution,
    ) -> list[str | None]:
        """Take the machine's next rows; return the event of each above the threshold, if it is in one.

        Args:
            above: ``(row,)`` which of them, of whatever status, lie above it.
            time: ``(row,)`` their clock.
            timestamps: The log's own timestamps of the rows above.
            scores: Their scores.
            severities: Their severities.
            attribution: Their leading sensors.
        """
        names: list[str | None] = []
        clock = time[above].tolist()
        for i, mark in enumerate(self._alarms.follow(above, time).tolist()):
            if mark == OPENS:
                self._close(still_open=False)
                first = timestamps[i]
                name = event_id(self._model_id, self._machine, first)
                self._growing = _Growing(name, first, clock[i])
            event = self._growing
            if mark == QUIET or event is None:
                names.append(None)
                continue
            names.append(event.event_id)
            event.n_rows += 1
            event.end, event.last_time = timestamps[i], clock[i]
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
        if not self._alarms.may_go_on:
            self._close(still_open=False)
        return names

    @property
    def open_event(self) -> str | None:
        """The name of the event that may still grow."""
        return None if self._growing is None else self._growing.event_id

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here; events that are closed are not part of it."""
        return {
            "alarms": self._alarms.snapshot(),
            "growing": None if self._growing is None else self._growing.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a tracker that was opened alike."""
        growing = snapshot["growing"]
        self._alarms.restore(snapshot["alarms"])
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
