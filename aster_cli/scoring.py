"""From a log's batches to score rows, one for every input row and in the input's order.

Rows flow: log batch → machine streams → windows → network → readings → score, events,
attribution → table. A batch leaves as soon as all its rows are decided; what is held meanwhile
does not grow with the log.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from aster_cli.attribution import Attribution, SensorRanges, attribute, top_sensors_column
from aster_cli.calibration import Calibration, join_readings
from aster_cli.config import AlertRule
from aster_cli.drift import Finding, MachineWatch, SensorDistance
from aster_cli.errors import DataError
from aster_cli.events import EventTracker
from aster_cli.logs import Log
from aster_cli.logs.schema import listed
from aster_cli.model.aster import AsterNetwork
from aster_cli.model.neighbours import NormalWindows
from aster_cli.results import Event, FloatArray, LogBatch, MachineId, Status
from aster_cli.scaling import SensorScaling
from aster_cli.streams import DecidedRows, MachineStream, WindowReadings
from aster_cli.thresholds import frozen_threshold
from aster_cli.waiting import Waiting

READINGS = ("classifier", "window")
"""What is read off every window; see `aster_cli.calibration.join_readings`."""

FARTHEST = 30.0
"""In scaled units over the knee: beyond it no sensor departs farther, lest squares become infinite."""

BATCH_WINDOWS = 64
"""The one shape that the network is given when scoring: equal windows give equal bits."""


class WindowReader:
    """The trained network and the stored normal windows, reading windows in batches of one shape.

    Args:
        network: In evaluation mode, on `device`.
        normal: The stored normal windows, on `device`.
        device: Where both live.
        batch_windows: Windows of a batch, as the model has it recorded.
    """

    def __init__(
        self,
        network: AsterNetwork,
        normal: NormalWindows,
        device: torch.device,
        batch_windows: int,
    ) -> None:
        self._network = network
        self._normal = normal
        self._device = device
        self._batch_windows = batch_windows

    def against(self, normal: NormalWindows) -> "WindowReader":
        """The same network with other stored windows."""
        return WindowReader(
            self._network, normal.to(self._device), self._device, self._batch_windows
        )

    def read(self, windows: NDArray[np.float32], knees: NDArray[np.float32]) -> WindowReadings:
        """Read windows.

        Args:
            windows: ``(window, size, sensor)`` in scaled units.
            knees: Where their machines' sensors are compressed, ``(window, sensor)``, or ``(sensor,)``
                where all are of one machine.
        """
        n, size, n_sensors = windows.shape
        knees = np.broadcast_to(knees, (n, n_sensors))
        batches = [
            slice(start, start + self._batch_windows) for start in range(0, n, self._batch_windows)
        ]
        parts = [self._read_batch(windows[batch], knees[batch]) for batch in batches]
        if not parts:
            empty = np.zeros((0, size), dtype=np.float32)
            none = np.zeros((0, n_sensors), dtype=np.float32)
            return WindowReadings(dict.fromkeys(READINGS, empty), windows, none)
        return WindowReadings(
            {name: np.concatenate([part.rows[name] for part in parts]) for name in READINGS},
            np.concatenate([part.expected for part in parts]),
            np.concatenate([part.departures for part in parts]),
        )

    @torch.inference_mode()
    def _read_batch(
        self, windows: NDArray[np.float32], knees: NDArray[np.float32]
    ) -> WindowReadings:
        n, size, n_sensors = windows.shape
        padded = np.zeros((self._batch_windows, size, n_sensors), dtype=np.float32)
        padded[:n] = windows
        batch = torch.from_numpy(padded).to(self._device)
        knee = torch.ones(self._batch_windows, 1, n_sensors)
        knee[:n, 0] = torch.from_numpy(knees.copy())
        residual = self._normal.residual(batch)
        novelty = self._normal.whitening(residual)
        expected = batch - residual
        logits = self._network(batch, novelty.together)
        # rows are too small a unit, so the whole window speaks; a token may only say less
        whole = logits.mean(dim=1, keepdim=True)
        tokens = torch.minimum(logits, whole)
        rows = {
            "classifier": tokens.repeat_interleave(size // tokens.shape[1], dim=1),
            "window": novelty.square().rsqrt().unsqueeze(1).expand(-1, size),
        }
        return WindowReadings(
            {name: _numpy(values[:n]) for name, values in rows.items()},
            _numpy(expected[:n]),
            _numpy(self._departures(batch, expected, knee.to(self._device))[:n]),
        )

    def _departures(
        self,
        actual: Float[Tensor, "batch time sensor"],
        expected: Float[Tensor, "batch time sensor"],
        knee: Float[Tensor, "batch 1 sensor"],
    ) -> Float[Tensor, "batch sensor"]:
        """How far each sensor departs from what is expected: the square where it is farthest.

        In standard deviations, since the logarithmic part of scaled units makes the loudest sensor
        look like the others; whitened over rows, since an offset that drifts is little of a cause.
        """
        deviation = _standard(actual, knee) - _standard(expected, knee)
        departures: Tensor = self._normal.whitening.each_alone(deviation).square().amax(dim=1)
        return departures


def _standard(
    scaled: Float[Tensor, "batch time sensor"], knee: Float[Tensor, "batch 1 sensor"]
) -> Float[Tensor, "batch time sensor"]:
    """Scaled units back to standard deviations."""
    return knee * torch.sinh((scaled / knee).clamp(-FARTHEST, FARTHEST))


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


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


class LogScorer:
    """Scores one log.

    Args:
        log: What is scored.
        reader: Reads windows.
        calibration: Joins readings, and tells thresholds and severities.
        rule: When a score becomes an alarm.
        open_stream: Gives a machine its stream.
        open_tracker: Gives a machine its event tracker.
        open_watch: Gives a machine its watch.
        scaling: Knows the machines, and the usual values of sensors that the log may lack.
        ranges: How far sensors ranged in training.
        sensors: Sensor names.
        model_id: Named in every row.
    """

    def __init__(
        self,
        log: Log,
        *,
        reader: WindowReader,
        calibration: Calibration,
        rule: AlertRule,
        open_stream: Callable[[MachineId], MachineStream],
        open_tracker: Callable[[MachineId], EventTracker],
        open_watch: Callable[[MachineId], MachineWatch],
        scaling: SensorScaling,
        ranges: SensorRanges,
        sensors: tuple[str, ...],
        model_id: str,
    ) -> None:
        self._log = log
        self._reader = reader
        self._calibration = calibration
        self._rule = rule
        self._thresholds: dict[MachineId, float] = {}
        self._open_stream = open_stream
        self._open_tracker = open_tracker
        self._open_watch = open_watch
        self._scaling = scaling
        self._ranges = ranges
        self._sensors = sensors
        self._absent = np.isin(sensors, log.absent_sensors)
        self._model_id = model_id
        self._streams: dict[MachineId, MachineStream] = {}
        self._trackers: dict[MachineId, EventTracker] = {}
        self._watches: dict[MachineId, MachineWatch] = {}
        self._waiting: deque[Waiting] = deque()
        self.summary = ScoreSummary()

    def tables(self) -> Iterator[pl.DataFrame]:
        """Yield score rows in the input's order; `summary` is complete when they have ended.

        Raises:
            DataError: At the end of the log: a sensor has had no value in any row.
        """
        alias, keys = self._log.alias, self._log.input_keys
        if alias is None or keys is None:
            yield from self._stream()
        else:
            # the log was sorted or merged: each input row gets the scores of the row it became
            scored = pl.concat(self._stream())[alias]
            yield scored.with_columns(keys.get_columns())

    def _stream(self) -> Iterator[pl.DataFrame]:
        last_rows = self._log.last_rows()
        seen = self._absent.copy()
        for batch in self._log.batches():
            seen |= ~np.isnan(batch.values).all(axis=0)
            self._waiting.append(Waiting.of(batch, len(self._sensors)))
            machines = list(batch.by_machine())
            self._judge([(self._stream_of(m), self._push(m, batch, rows)) for m, rows in machines])
            end = batch.first_row + len(batch)
            ended = [self._streams.pop(m) for m, _ in machines if last_rows[m] < end]
            self._judge([(stream, stream.finish()) for stream in ended])
            while self._waiting and self._waiting[0].decided == len(self._waiting[0].batch):
                yield self._table(self._waiting.popleft())
        self._require_values(seen)
        for tracker in self._trackers.values():
            tracker.finish()
            self.summary.events.extend(tracker.closed)
        for watch in self._watches.values():
            self.summary.see(watch)

    def _require_values(self, seen: NDArray[np.bool_]) -> None:
        """Refuse a log that has a column for every sensor, but nothing in one of them."""
        empty = [name for name, has in zip(self._sensors, seen.tolist(), strict=True) if not has]
        if empty:
            raise DataError(
                f"the model needs {listed(empty)}, which has no value in any row",
                where=self._log.name,
                hint="check the log, or train without it (--exclude-cols)",
            )

    def _stream_of(self, machine: MachineId) -> MachineStream:
        if machine not in self._streams:
            self._streams[machine] = self._open_stream(machine)
            if not self._scaling.knows(machine):
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
            values = np.where(lacking, self._scaling.usual(machine), values)
        return self._streams[machine].push(rows + batch.first_row, batch.time[rows], values)

    def _judge(self, due: list[tuple[MachineStream, NDArray[np.float32]]]) -> None:
        """Read the windows of several machines together, and note what that decides."""
        if not due:
            return
        knees = [self._scaling.knee(stream.machine) for stream, _ in due]
        readings = self._reader.read(
            np.concatenate([windows for _, windows in due]),
            np.repeat(knees, [len(windows) for _, windows in due], axis=0),
        )
        start = 0
        for stream, windows in due:
            part = readings.part(start, start + len(windows))
            start += len(windows)
            for rows in stream.take_in(part):
                self._note(stream.machine, rows)

    def _waiting_for(self, machine: MachineId) -> Iterable[Waiting]:
        """The batches that a machine's rows may be in."""
        return self._waiting

    def _note(self, machine: MachineId, rows: DecidedRows) -> None:
        """Write a machine's decided rows into the batches that wait for them."""
        score = top = None
        if rows.status == "ok":
            score = join_readings(rows.readings, self._calibration.readings)
            # a sensor that the log lacks cannot be to blame
            evidence = np.where(self._absent, 0.0, rows.departures / self._ranges.of(machine))
            top = attribute(evidence, rows.residual)
        for waiting in self._waiting_for(machine):
            first = waiting.batch.first_row
            low, high = np.searchsorted(rows.numbers, (first, first + len(waiting.batch)))
            if low == high:
                continue
            places = rows.numbers[low:high] - first
            waiting.status[places] = rows.status
            if score is not None and top is not None:
                waiting.score[places] = score[low:high]
                waiting.top.sensors[places] = top.sensors[low:high]
                waiting.top.shares[places] = top.shares[low:high]
                waiting.top.directions[places] = top.directions[low:high]

    def _table(self, done: Waiting) -> pl.DataFrame:
        """The output rows of a batch, whose rows are all decided."""
        batch, n = done.batch, len(done.batch)
        severity, threshold = np.full(n, np.nan), np.zeros(n)
        events = np.full(n, None, dtype=object)
        for machine, places in batch.by_machine():
            table = self._calibration.table(machine)
            score = done.score[places]
            scored = ~np.isnan(score)
            severity[places[scored]] = table.severity(score[scored])
            threshold[places] = self._threshold(machine)
            above = score > threshold[places]
            events[places[above]] = self._name_events(machine, places, above, done, severity)
        names = pl.Series("event_id", events.tolist(), dtype=pl.String)
        rows = np.flatnonzero(names.is_not_null().to_numpy())
        top = Attribution(done.top.sensors[rows], done.top.shares[rows], done.top.directions[rows])
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
            top_sensors_column(top, rows, n, self._sensors),
            pl.Series("model_id", [self._model_id], dtype=pl.String).new_from_index(0, n),
        )

    def _threshold(self, machine: MachineId) -> float:
        if machine not in self._thresholds:
            table = self._calibration.table(machine)
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
            attribution=Attribution(
                done.top.sensors[rows], done.top.shares[rows], done.top.directions[rows]
            ),
        )
