"""Another alert rule on scores that are there already, without training and without the network.

The file is read twice. First the times, machines and scores of all rows, which stay in memory, some
30 bytes a row: all of them are needed to order rows by time, to look ahead, and to rank p-values.
Then the rows stream through and get their new labels.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.alerts import raise_alarms
from aster_cli.calibration import Calibration
from aster_cli.checkpoint import ModelCard
from aster_cli.config import AlertRule
from aster_cli.errors import DataError
from aster_cli.events import event_id
from aster_cli.inspection import rebuild_events
from aster_cli.logs import ScoresFile
from aster_cli.logs.clock import epoch_unit, to_instants
from aster_cli.logs.machines import code_machines, machine_runs
from aster_cli.logs.schema import listed
from aster_cli.results import Clock, Event, FloatArray, MachineId, Status
from aster_cli.thresholds import (
    benjamini_hochberg,
    conformal_threshold,
    frozen_threshold,
    p_values,
)


@dataclass(frozen=True, slots=True)
class ThresholdChange:
    """A machine's threshold: the last one of the file, and the new one; None where there is none."""

    machine: MachineId
    old: float | None
    new: float | None


@dataclass(slots=True)
class AlertSummary:
    """What new alarms came to; complete when the last table has been taken.

    Attributes:
        rows: Rows by status.
        anomalies: Anomalous rows.
        events: In the file's order.
        thresholds: Of every machine, in the order of their first rows; known from the start.
    """

    rows: dict[Status, int] = field(default_factory=dict)
    anomalies: int = 0
    events: list[Event] = field(default_factory=list)
    thresholds: list[ThresholdChange] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the alert rules need of a file: all its rows, in its order.

    Attributes:
        timestamps: The log's own.
        time: ``(row,)`` the same on the model's clock.
        machines: In the order of their first rows.
        codes: ``(row,)`` positions in `machines`.
        scores: ``(row,)`` NaN where there is none.
    """

    timestamps: pl.Series
    time: Clock
    machines: tuple[MachineId, ...]
    codes: NDArray[np.int32]
    scores: FloatArray


class Relabeller:
    """Draws alarms anew from a scores file.

    Args:
        file: What is labelled.
        card: The model that scored it.
        calibration: Its held-out scores.
        rule: The new rule.

    Raises:
        DataError: Another model scored the file, or its columns are not that model's.
        LogFormatError: A cell cannot be read.
    """

    def __init__(
        self, file: ScoresFile, card: ModelCard, calibration: Calibration, rule: AlertRule
    ) -> None:
        self._file = file
        self._schema = card.schema
        self._model_id = card.manifest.model_id
        self._calibration = calibration
        self._rule = rule
        self._before: dict[MachineId, float] = {}
        self._rows = self._gather()
        self._thresholds = self._set_thresholds()
        self._open_ends: dict[MachineId, object] = {}
        self._firsts = self._raise_alarms()
        self.summary = AlertSummary()
        chosen = zip(self._rows.machines, self._thresholds.tolist(), strict=True)
        self.summary.thresholds += [
            ThresholdChange(machine, self._before.get(machine), new if np.isfinite(new) else None)
            for machine, new in chosen
        ]

    @property
    def n_rows(self) -> int:
        """Rows of the file."""
        return len(self._rows.codes)

    @property
    def fewest_discoveries(self) -> int | None:
        """Of `conformal`: so many rows at least have to stand out, or none does."""
        if self._rule.method != "conformal":
            return None
        scored = int((~np.isnan(self._rows.scores)).sum())
        tables = [self._calibration.table(machine) for machine in self._rows.machines]
        smallest = min(1.0 / (1.0 + table.effective_rows) for table in tables)
        return int(np.ceil(scored * smallest / self._rule.fdr))

    def tables(self) -> Iterator[pl.DataFrame]:
        """Yield the file's rows with their new labels; `summary` is complete when they have ended.

        The leading sensors of rows that were not anomalous before are not known, and stay null.
        """
        rows, start = self._rows, 0
        statuses: Counter[Status] = Counter()
        anomalous = []
        for frame in self._file.frames():
            part = slice(start, start + len(frame))
            start = part.stop
            firsts = self._firsts[part]
            alarms = pl.Series(firsts >= 0)
            table = frame.with_columns(
                pl.Series("threshold", self._thresholds[rows.codes[part]]),
                alarms.alias("is_anomaly"),
                pl.Series("event_id", self._names(firsts), dtype=pl.String),
                pl.when(alarms).then("top_sensors").alias("top_sensors"),
                pl.when(alarms).then("evidence").alias("evidence"),
            )
            anomalous.append(table.filter(alarms))
            statuses.update(frame["status"])
            yield table
        seconds = self._schema.log.seconds_per_unit
        time = pl.Series(rows.time[self._firsts >= 0])
        found = pl.concat(anomalous)
        self.summary.rows.update(statuses)
        self.summary.anomalies = len(found)
        self.summary.events += rebuild_events(
            found,
            self._schema.log.id_cols,
            time * seconds if seconds else pl.Series([None] * len(found), dtype=pl.Float64),
            open_ends=self._open_ends,
        )

    def _gather(self) -> _Rows:
        """Read what the rules need of every row."""
        log = self._schema.log
        ids = [name for name in log.id_cols if name in self._file.schema]
        numbers: dict[MachineId, int] = {}
        codes, kept = [], []
        for frame in self._file.frames("timestamp", *ids, "score", "threshold", "model_id"):
            self._require_own(frame["model_id"])
            if len(ids) < len(log.id_cols):
                raise DataError(
                    f"lacks an id column that the model tells machines by: {listed(log.id_cols)}",
                    where=self._file.where,
                )
            machines, local = code_machines(frame.select(log.id_cols), len(frame))
            known = [numbers.setdefault(machine, len(numbers)) for machine in machines]
            codes.append(np.array(known, dtype=np.int32)[local])
            kept.append(frame.select("timestamp", "score"))
            own = pl.DataFrame({"place": local, "last": frame["threshold"]}).drop_nulls()
            for place, last in own.group_by("place").agg(pl.col("last").last()).iter_rows():
                self._before[machines[place]] = last
        whole = pl.concat(kept)
        timestamps = whole["timestamp"]
        return _Rows(
            timestamps,
            self._instants(timestamps),
            tuple(numbers),
            np.concatenate(codes),
            whole["score"].fill_null(float("nan")).to_numpy(),
        )

    def _require_own(self, model_ids: pl.Series) -> None:
        """Refuse rows of another model: its scores mean something else."""
        for other in model_ids.fill_null("no model").unique(maintain_order=True):
            if other != self._model_id:
                raise DataError(
                    f"was scored by {other}, and this model is {self._model_id}",
                    where=self._file.where,
                    hint="name the model that scored it with -m, or score the log again",
                )

    def _instants(self, timestamps: pl.Series) -> Clock:
        """Timestamps on the model's clock."""
        kind = self._schema.log.time_kind
        is_time = timestamps.dtype.is_temporal()
        if is_time == (kind in ("datetime", "date")) and (is_time or timestamps.dtype.is_numeric()):
            unit = epoch_unit(timestamps) if kind == "epoch" else None
            instants = to_instants(timestamps, kind, unit)
            if not instants.null_count():
                return instants.to_numpy()
        raise DataError(
            f"column 'timestamp' is not throughout the {kind} of the model's log",
            where=self._file.where,
            hint="give the file as `aster score` wrote it",
        )

    def _set_thresholds(self) -> FloatArray:
        """Every machine's threshold, ``(machine,)``."""
        rule, rows = self._rule, self._rows
        tables = [self._calibration.table(machine) for machine in rows.machines]
        if rule.method != "conformal":
            return np.array([frozen_threshold(table, rule) for table in tables], dtype=np.float64)
        by_machine = [
            scores[~np.isnan(scores)] for scores in (rows.scores[own] for own in self._by_machine())
        ]
        p = [p_values(table, own) for table, own in zip(tables, by_machine, strict=True)]
        highest_p = benjamini_hochberg(np.concatenate(p), rule.fdr)
        return np.array(
            [
                conformal_threshold(table, highest_p, own.max(initial=-np.inf))
                for table, own in zip(tables, by_machine, strict=True)
            ]
        )

    def _raise_alarms(self) -> NDArray[np.int64]:
        """For every row the first row of its event; -1 where there is no alarm.

        Notes the last row of every event that may go on.
        """
        rows = self._rows
        firsts = np.full(self.n_rows, -1, dtype=np.int64)
        for machine, own, threshold in zip(
            rows.machines, self._by_machine(), self._thresholds.tolist(), strict=True
        ):
            # scores of a log that was sorted or merged come in its input's order, and repeat
            _, once, which = np.unique(rows.time[own], return_index=True, return_inverse=True)
            alarms = raise_alarms(
                rows.scores[own[once]] > threshold,
                rows.time[own[once]],
                self._rule,
                longest_step=self._schema.longest_step,
                merge_rows=self._schema.window_size // 2,
            )
            first = alarms.firsts[which]
            firsts[own] = np.where(first >= 0, own[once[first]], -1)
            if alarms.open:
                last = own[once[np.flatnonzero(alarms.firsts >= 0)[-1]]]
                self._open_ends[machine] = rows.timestamps[int(last)]
        return firsts

    def _by_machine(self) -> list[NDArray[np.int64]]:
        """The rows of each machine."""
        order, starts, _ = machine_runs(self._rows.codes)
        return np.split(order, starts[1:])

    def _names(self, firsts: NDArray[np.int64]) -> list[str | None]:
        """The events of some rows."""
        rows = self._rows
        names: dict[int, str | None] = {
            first: event_id(
                self._model_id, rows.machines[rows.codes[first]], rows.timestamps[first]
            )
            for first in np.unique(firsts[firsts >= 0]).tolist()
        }
        return [names.get(first) for first in firsts.tolist()]
