"""From a log's batches to score rows, one for every input row and in the input's order.

Rows flow: log batch → machine streams → windows → network → readings → score, events,
attribution → table. A batch leaves as soon as all its rows are decided; what is held meanwhile
does not grow with the log.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.attribution import SensorRanges, attribute, attribution_columns, weigh
from aster_cli.bands import NormalBands
from aster_cli.calibration import Calibration, join_readings
from aster_cli.config import AlertRule
from aster_cli.drift import Finding, MachineWatch, SensorDistance
from aster_cli.errors import DataError
from aster_cli.events import EventTracker, with_similar
from aster_cli.explaining import OnExplained, explain, explained_table
from aster_cli.logs import EXPLAINED, Log
from aster_cli.logs.schema import listed
from aster_cli.reading import WindowReader, no_readings
from aster_cli.results import Event, FloatArray, LogBatch, MachineId, Status
from aster_cli.scaling import SensorScaling
from aster_cli.streams import DecidedRows, MachineStream, WindowReadings
from aster_cli.thresholds import frozen_threshold
from aster_cli.waiting import Waiting


class Judges(ABC):
    """What each machine is judged by: a detector of its own, or the pooled one."""

    @abstractmethod
    def knows(self, machine: MachineId) -> bool:
        """Whether training has seen the machine."""

    @abstractmethod
    def owner(self, machine: MachineId) -> MachineId | None:
        """Whose detector the machine is judged by: its own, or nobody's, which is the pooled one."""

    @abstractmethod
    def reader(self, machine: MachineId) -> WindowReader:
        """Reads the machine's windows; the same one for machines that share a detector."""

    @abstractmethod
    def calibration(self, machine: MachineId) -> Calibration:
        """Joins readings, and tells thresholds and severities."""

    @abstractmethod
    def scaling(self, machine: MachineId) -> SensorScaling:
        """Knows the usual values of sensors that the log may lack."""

    @abstractmethod
    def ranges(self, machine: MachineId) -> SensorRanges:
        """How far sensors ranged in training."""

    @abstractmethod
    def bands(self, machine: MachineId) -> NormalBands:
        """How far sensors stray from what is expected of them on normal rows."""

    @abstractmethod
    def notes(self) -> list[str]:
        """Say what was not as when the model was calibrated, if anything was."""


@dataclass(slots=True)
class ScoreSummary:
    """What a scoring run came to; complete when the last table has been taken.

    Attributes:
        rows: Rows by status.
        anomalies: Anomalous rows.
        unknown_machines: Those that training did not know; the pooled tables serve them.
        events: Machine by machine, in order of time; those near the log's end are still open.
        findings: How the log differs from what the model was trained on, machine by machine.
        distances: How far every sensor is from training, by machine.
    """

    rows: dict[Status, int] = field(default_factory=dict)
    anomalies: int = 0
    unknown_machines: list[MachineId] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    distances: list[SensorDistance] = field(default_factory=list)

    def see(self, watch: MachineWatch) -> None:
        """Take over what a machine's watch has seen."""
        self.findings += watch.findings()
        self.distances += watch.distances


def require_values(sensors: Sequence[str], valued: NDArray[np.bool_], where: str) -> None:
    """Refuse a log that has a column for every sensor, but nothing in one of them.

    Raises:
        DataError: Naming those.
    """
    empty = [name for name, has in zip(sensors, valued.tolist(), strict=True) if not has]
    if empty:
        raise DataError(
            f"the model needs {listed(empty)}, which has no value in any row",
            where=where,
            hint="check the log, or train without it (--exclude-cols)",
        )


class LogScorer:
    """Scores one log.

    Args:
        log: What is scored.
        judges: What each machine is judged by.
        rule: When a score becomes an alarm.
        open_stream: Gives a machine its stream.
        open_tracker: Gives a machine its event tracker.
        open_watch: Gives a machine its watch.
        sensors: Sensor names.
        model_id: Named in every row.
        on_explained: Is given what was expected of every row that has a score, and of provisional
            ones with a score too, machine by machine; once at least, then maybe without any row.
    """

    def __init__(
        self,
        log: Log,
        *,
        judges: Judges,
        rule: AlertRule,
        open_stream: Callable[[MachineId], MachineStream],
        open_tracker: Callable[[MachineId], EventTracker],
        open_watch: Callable[[MachineId], MachineWatch],
        sensors: tuple[str, ...],
        model_id: str,
        on_explained: OnExplained | None = None,
    ) -> None:
        self._log = log
        self._judges = judges
        self._rule = rule
        self._thresholds: dict[MachineId, float] = {}
        self._open_stream = open_stream
        self._open_tracker = open_tracker
        self._open_watch = open_watch
        self._sensors = sensors
        self._absent = np.isin(sensors, log.absent_sensors)
        self._model_id = model_id
        self._on_explained = on_explained
        self._streams: dict[MachineId, MachineStream] = {}
        self._trackers: dict[MachineId, EventTracker] = {}
        self._watches: dict[MachineId, MachineWatch] = {}
        self._waiting: deque[Waiting] = deque()
        self._valued = self._absent.copy()
        self.summary = ScoreSummary()

    @property
    def valued(self) -> NDArray[np.bool_]:
        """``(sensor,)`` which sensors have had a value, or are known to be absent."""
        return self._valued

    @property
    def newest(self) -> dict[MachineId, int | float]:
        """The clock of every machine's newest row."""
        seen = {machine: watch.newest for machine, watch in self._watches.items()}
        return {machine: time for machine, time in seen.items() if time is not None}

    def notes(self) -> list[str]:
        """Say what was not as when the model was calibrated; all is known when tables have ended."""
        return self._judges.notes()

    def tables(self) -> Iterator[pl.DataFrame]:
        """Yield score rows in the input's order; `summary` is complete when they have ended.

        Raises:
            DataError: At the end of a whole log: a sensor has had no value in any row.
        """
        alias, keys = self._log.alias, self._log.input_keys
        if alias is None or keys is None:
            yield from self._stream()
        else:
            # the log was sorted or merged: each input row gets the scores of the row it became
            scored = pl.concat(self._stream())[alias]
            yield scored.with_columns(keys.get_columns())

    def _stream(self) -> Iterator[pl.DataFrame]:
        last_rows = self._log.last_rows
        for batch in self._log.batches():
            self._valued |= ~np.isnan(batch.values).all(axis=0)
            self._waiting.append(Waiting.of(batch, len(self._sensors)))
            end = batch.first_row + len(batch)
            # a machine's own detector is read once for both
            for _, group in groupby(batch.by_machine(), lambda one: self._judges.owner(one[0])):
                machines = list(group)
                pushed = [(self._stream_of(m), self._push(m, batch, rows)) for m, rows in machines]
                self._judge(pushed)
                ended = [self._streams.pop(m) for m, _ in machines if last_rows[m] < end]
                self._judge([(stream, stream.finish()) for stream in ended])
            while self._waiting and self._waiting[0].decided == len(self._waiting[0].batch):
                yield self._table(self._waiting.popleft())
        if self._log.is_whole:
            require_values(self._sensors, self._valued, self._log.name)
        for tracker in self._trackers.values():
            tracker.finish()
            self.summary.events.extend(tracker.closed)
        self.summary.events = with_similar(self.summary.events)
        for watch in self._watches.values():
            self.summary.see(watch)

    def _stream_of(self, machine: MachineId) -> MachineStream:
        if machine not in self._streams:
            self._streams[machine] = self._open_stream(machine)
            if not self._judges.knows(machine):
                self.summary.unknown_machines.append(machine)
        return self._streams[machine]

    def _tracker_of(self, machine: MachineId) -> EventTracker:
        if machine not in self._trackers:
            self._trackers[machine] = self._open_tracker(machine)
        return self._trackers[machine]

    def _watch_of(self, machine: MachineId) -> MachineWatch:
        if machine not in self._watches:
            self._watches[machine] = self._open_watch(machine)
        return self._watches[machine]

    def _push(
        self, machine: MachineId, batch: LogBatch, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Give a machine its rows of a batch; return the windows that are due."""
        values = batch.values[rows]
        self._watch_of(machine).push(batch.time[rows], batch.keys["timestamp"].gather(rows), values)
        if self._absent.any():
            lacking = self._absent & np.isnan(values)
            usual = self._judges.scaling(machine).usual(machine)
            values = np.where(lacking, usual, values)
        return self._streams[machine].push(rows + batch.first_row, batch.time[rows], values)

    def _judge(self, due: list[tuple[MachineStream, NDArray[np.float32]]]) -> None:
        """Read the windows of machines that share a detector together; note what that decides."""
        for stream, windows in due:
            if not len(windows):
                self._decide(stream, no_readings(windows))
        some = [(stream, windows) for stream, windows in due if len(windows)]
        for reader, group in groupby(some, lambda one: self._judges.reader(one[0].machine)):
            streams, parts = zip(*group, strict=True)
            knees = [self._judges.scaling(s.machine).knee(s.machine) for s in streams]
            sizes = [len(windows) for windows in parts]
            readings = reader.read(np.concatenate(parts), np.repeat(knees, sizes, axis=0))
            ends = np.cumsum(sizes).tolist()
            for stream, size, end in zip(streams, sizes, ends, strict=True):
                self._decide(stream, readings.part(end - size, end))

    def _decide(self, stream: MachineStream, readings: WindowReadings) -> None:
        for rows in stream.take_in(readings):
            self._note(stream.machine, rows)

    def _waiting_for(self, machine: MachineId) -> Iterable[Waiting]:
        """The batches that a machine's rows may be in."""
        return self._waiting

    def _note(self, machine: MachineId, rows: DecidedRows) -> None:
        """Write a machine's decided rows into the batches that wait for them."""
        score = top = None
        if rows.status == "ok":
            judges = self._judges
            score = join_readings(rows.readings, judges.calibration(machine).readings)
            evidence = weigh(rows.departures, judges.ranges(machine).of(machine))
            actual, expected = (
                judges.scaling(machine).unscale(part, machine)
                for part in (rows.actual, rows.expected)
            )
            # a sensor that the log lacks cannot be to blame
            top = attribute(np.where(self._absent, 0.0, evidence), actual, expected)
        for waiting in self._waiting_for(machine):
            first = waiting.batch.first_row
            low, high = np.searchsorted(rows.numbers, (first, first + len(waiting.batch)))
            if low == high:
                continue
            places = rows.numbers[low:high] - first
            waiting.status[places] = rows.status
            if score is not None and top is not None:
                waiting.score[places] = score[low:high]
                waiting.top.write(places, top.of(slice(low, high)))
            if self._on_explained is not None:
                keys, part = waiting.batch.keys[places], slice(low, high)
                self._on_explained(self._explained(machine, keys, rows, part))

    def _explained(
        self, machine: MachineId, keys: pl.DataFrame, rows: DecidedRows, part: slice
    ) -> pl.DataFrame:
        """What was expected of a part of a machine's rows; no row where they have no score."""
        known = np.flatnonzero(~self._absent)
        values = np.zeros((len(EXPLAINED), 0, len(known)))
        if rows.status == "ok":
            judges = self._judges
            values = explain(
                rows.actual[part],
                rows.expected[part],
                machine,
                judges.scaling(machine),
                judges.bands(machine).of(machine),
            )[:, :, known]
        names = [self._sensors[place] for place in known]
        return explained_table(keys[: values.shape[1]], names, values)

    def _table(self, done: Waiting) -> pl.DataFrame:
        """The output rows of a batch, whose rows are all decided."""
        batch, n = done.batch, len(done.batch)
        severity, threshold = np.full(n, np.nan), np.zeros(n)
        events = np.full(n, None, dtype=object)
        for machine, places in batch.by_machine():
            table = self._judges.calibration(machine).table(machine)
            score = done.score[places]
            scored = ~np.isnan(score)
            severity[places[scored]] = table.severity(score[scored])
            threshold[places] = self._threshold(machine)
            above = score > threshold[places]
            events[places[above]] = self._name_events(machine, places, above, done, severity)
        names = pl.Series("event_id", events.tolist(), dtype=pl.String)
        rows = np.flatnonzero(names.is_not_null().to_numpy())
        for status, count in zip(
            *np.unique(done.status.astype(str), return_counts=True), strict=True
        ):
            self.summary.rows[status] = self.summary.rows.get(status, 0) + int(count)
        self.summary.anomalies += len(rows)
        return batch.keys.with_columns(
            pl.Series("score", done.score, dtype=pl.Float64, nan_to_null=True),
            pl.Series("severity", severity, dtype=pl.Float64, nan_to_null=True).cast(pl.Float32),
            pl.Series("threshold", threshold, dtype=pl.Float64),
            names.is_not_null().alias("is_anomaly"),
            pl.Series("status", done.status.tolist(), dtype=pl.String),
            names,
            *attribution_columns(done.top.of(rows), rows, n, self._sensors),
            pl.Series("model_id", [self._model_id], dtype=pl.String).new_from_index(0, n),
        )

    def _threshold(self, machine: MachineId) -> float:
        if machine not in self._thresholds:
            table = self._judges.calibration(machine).table(machine)
            self._thresholds[machine] = frozen_threshold(table, self._rule)
        return self._thresholds[machine]

    def _name_events(
        self,
        machine: MachineId,
        places: NDArray[np.int64],
        above: NDArray[np.bool_],
        done: Waiting,
        severity: FloatArray,
    ) -> list[str | None]:
        """Follow a machine's rows; the event of each above the threshold, if it is in one."""
        rows = places[above]
        return self._tracker_of(machine).follow(
            above,
            done.batch.time[places],
            timestamps=done.batch.keys["timestamp"].gather(rows),
            scores=done.score[rows],
            severities=severity[rows],
            attribution=done.top.of(rows),
        )
