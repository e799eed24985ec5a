"""Anomalous rows that belong together, followed while rows go by."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.alerts import OPENS, QUIET, AlarmStream
from aster_cli.attribution import TOP, Attribution, event_shares
from aster_cli.results import Clock, Event, FloatArray, MachineId, SensorShare, Snapshot


def event_id(model_id: str, machine: MachineId, first: object) -> str:
    """Twelve hexadecimal digits that name an event, whichever run finds it."""
    text = "\x1f".join((model_id, *machine, str(first)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


Values = tuple[float, float]
"""Actual and expected."""

Leading = tuple[str, float, Values]
"""A sensor that leads in a row, its evidence there, and its values."""

_BY_SENSOR = ("squares", "highest", "lowest")
_DIGITS = 6  # that are kept of values, which went through single precision


def _excess(values: Values) -> float:
    return values[0] - values[1]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


@dataclass(slots=True)
class GrowingEvent:
    """An event that may still grow: what its rows say together.

    Attributes:
        event_id: Its name.
        start: The log's own timestamp of its first row.
        first_time: The same as a number that can be subtracted.
        end: The timestamp of its last row so far.
        last_time: The same as a number.
        n_rows: Rows so far.
        peak_time: Where the score is highest.
        peak_score: The highest score.
        severity: The highest severity.
        squares: Of each sensor's evidence, summed over the rows.
        highest: Each sensor's values where it lies farthest above what was expected.
        lowest: The same, farthest below.
    """

    event_id: str
    start: object
    first_time: int | float
    end: object = None
    last_time: int | float = 0
    n_rows: int = 0
    peak_time: object = None
    peak_score: float = -np.inf
    severity: float = 0.0
    squares: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    highest: dict[str, Values] = field(default_factory=dict)
    lowest: dict[str, Values] = field(default_factory=dict)

    def take(
        self,
        timestamp: object,
        time: int | float,
        *,
        score: float,
        severity: float,
        leading: Iterable[Leading],
    ) -> None:
        """Take its next row.

        Args:
            timestamp: The log's own.
            time: The same as a number.
            score: Of the row.
            severity: Of the row.
            leading: The sensors that lead in it; none where they are not known.
        """
        self.n_rows += 1
        self.end, self.last_time = timestamp, time
        self.severity = max(self.severity, severity)
        if score > self.peak_score:
            self.peak_time, self.peak_score = timestamp, score
        for sensor, evidence, values in leading:
            self.squares[sensor] += evidence**2
            for kept, sign in ((self.highest, 1.0), (self.lowest, -1.0)):
                if sensor not in kept or sign * _excess(values) > sign * _excess(kept[sensor]):
                    kept[sensor] = values

    def ended(
        self, machine: MachineId, *, seconds_per_unit: float | None, still_open: bool
    ) -> Event:
        """The event as it stands.

        Args:
            machine: Whose it is.
            seconds_per_unit: Of its times; None for counters.
            still_open: Whether it may go on.
        """
        leading = sorted(self.squares, key=lambda sensor: -self.squares[sensor])[:TOP]
        shares = event_shares(np.array([self.squares[sensor] for sensor in leading])).tolist()
        return Event(
            event_id=self.event_id,
            machine=machine,
            start=self.start,
            end=self.end,
            duration_s=None
            if seconds_per_unit is None
            else (self.last_time - self.first_time) * seconds_per_unit,
            n_rows=self.n_rows,
            peak_time=self.peak_time,
            peak_score=self.peak_score,
            severity=self.severity,
            top_sensors=tuple(map(self._sensor_share, leading, shares)),
            open=still_open,
        )

    def _sensor_share(self, sensor: str, share: float) -> SensorShare:
        """What the rows together say of a sensor."""
        farthest = max(self.highest[sensor], self.lowest[sensor], key=lambda v: abs(_excess(v)))
        direction = int(np.sign(_excess(farthest)))
        return SensorShare(sensor, share, direction, *map(_rounded, farthest))

    def snapshot(self) -> Snapshot:
        """Every field, what is by sensor as lists of pairs."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        pairs = {name: list(values[name].items()) for name in _BY_SENSOR}
        return values | pairs

    @classmethod
    def restored(cls, snapshot: Snapshot) -> "GrowingEvent":
        """The event of a snapshot."""
        sums = {"squares": defaultdict(float, snapshot["squares"])}
        worst = {
            name: {sensor: tuple(values) for sensor, values in snapshot[name]}
            for name in ("highest", "lowest")
        }
        return cls(**(snapshot | sums | worst))


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
        self._growing: GrowingEvent | None = None
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
                self._growing = GrowingEvent(name, first, clock[i])
            event = self._growing
            if mark == QUIET or event is None:
                names.append(None)
                continue
            names.append(event.event_id)
            event.take(
                timestamps[i],
                clock[i],
                score=float(scores[i]),
                severity=float(severities[i]),
                leading=[
                    (self._sensors[sensor], evidence, (actual, expected))
                    for sensor, evidence, _, actual, expected in zip(
                        *(part[i].tolist() for part in attribution.parts()), strict=True
                    )
                ],
            )
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
        self._growing = None if growing is None else GrowingEvent.restored(growing)

    def finish(self) -> None:
        """The log has ended; an event near its end is still open."""
        self._close(still_open=True)

    def _close(self, *, still_open: bool) -> None:
        event, self._growing = self._growing, None
        if event is not None:
            self.closed.append(
                event.ended(self._machine, seconds_per_unit=self._seconds, still_open=still_open)
            )


ALIKE = 0.8
"""Cosine of two events' signed shares from which they look alike."""

MOST_ALIKE = 3
"""At most so many events are named as similar."""

LOOKED_BACK = 1000
"""An event is compared with at most so many before it."""


def with_similar(events: Sequence[Event]) -> list[Event]:
    """The events, each with those earlier ones of the same log that look alike.

    An event looks like its sensors: a share above what was expected counts against one below, and the
    cosine of two events' shares is 1 where they have the same sensors, in the same parts and
    directions. Machines are compared with each other too. The order stays.
    """
    names = {top.sensor for event in events for top in event.top_sensors}
    places = {name: place for place, name in enumerate(sorted(names))}
    looks = np.zeros((len(events), len(places)))
    for row, event in enumerate(events):
        for top in event.top_sensors:
            looks[row, places[top.sensor]] = top.share * top.direction
    looks /= np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-12)
    order = sorted(range(len(events)), key=lambda row: events[row].start)  # type: ignore[arg-type,return-value]
    similar: dict[int, tuple[str, ...]] = {}
    for rank, row in enumerate(order):
        earlier = order[max(rank - LOOKED_BACK, 0) : rank]
        likeness = looks[earlier] @ looks[row]
        nearest = np.argsort(-likeness, kind="stable")[:MOST_ALIKE]
        similar[row] = tuple(
            events[earlier[one]].event_id for one in nearest.tolist() if likeness[one] >= ALIKE
        )
    return [replace(event, similar=similar[row]) for row, event in enumerate(events)]
