"""A scores file at a glance: its rows, machines and events, worked out from its columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.events import GrowingEvent, with_similar
from aster_cli.inspection.values import (
    BUCKETS,
    MachineScores,
    ScoresReport,
    SensorCourse,
    SensorPart,
    Timeline,
)
from aster_cli.logs import SCORE_DTYPES, TOP_SENSORS, read_scores
from aster_cli.logs.clock import epoch_unit, time_kind, to_instants
from aster_cli.results import Event, FloatArray, MachineId

COURSES = 10
"""Sensors whose parts are followed over the rows."""

_MACHINE = "machine of the row"
_TIME = "seconds of the row"
_BUCKET = "stretch of the row"


class ScoreTimeline:
    """Follows score tables as they go by.

    Args:
        n_rows: Rows of all tables.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = max(n_rows, 1)
        self._rows = 0
        self._start = self._end = ""
        self._severity = np.full(BUCKETS, -np.inf)
        self._anomalies = np.zeros(BUCKETS, dtype=np.int64)
        self._shares: dict[str, FloatArray] = {}  # by sensor: sums of each stretch

    def take(self, table: pl.DataFrame) -> None:
        """Take the next rows."""
        if table.is_empty():
            return
        self._start = self._start or str(table["timestamp"][0])
        self._end = str(table["timestamp"][-1])
        buckets = np.arange(self._rows, self._rows + len(table)) * BUCKETS // self._n_rows
        self._rows += len(table)
        severity = table["severity"].fill_null(float("-inf")).to_numpy()
        np.maximum.at(self._severity, buckets, severity)
        np.add.at(self._anomalies, buckets, table["is_anomaly"].fill_null(False).to_numpy())
        self._take_sensors(table["top_sensors"], buckets)

    def _take_sensors(self, top_sensors: pl.Series, buckets: NDArray[np.int64]) -> None:
        parts = pl.DataFrame({"part": top_sensors, _BUCKET: buckets}).drop_nulls("part")
        sums = (
            parts.explode("part")
            .unnest("part")
            .drop_nulls("sensor")
            .group_by("sensor", _BUCKET)
            .agg(pl.col("share").cast(pl.Float64).sum())
        )
        for sensor, bucket, share in sums.iter_rows():
            self._shares.setdefault(sensor, np.zeros(BUCKETS))[bucket] += share

    def timeline(self) -> Timeline:
        """What the tables came to."""
        severity = self._severity.tolist()
        return Timeline(
            self._start,
            self._end,
            tuple(None if value == float("-inf") else value for value in severity),
            tuple(self._anomalies.tolist()),
            tuple(self._sensors()),
        )

    def _sensors(self) -> Iterator[SensorCourse]:
        order = sorted(self._shares, key=lambda sensor: (-self._shares[sensor].sum(), sensor))
        known = self._anomalies > 0
        for sensor in order[:COURSES]:
            mean = self._shares[sensor] / np.maximum(self._anomalies, 1)
            shares = zip(mean.tolist(), known.tolist(), strict=True)
            yield SensorCourse(
                sensor, tuple(share if is_known else None for share, is_known in shares)
            )


def inspect_scores(path: str | Path) -> ScoresReport:
    """Read a scores file and tell what it holds.

    Raises:
        StorageError: There is no such file.
        LogFormatError: It is no scores file, or has no rows.
    """
    scores = read_scores(str(path))
    id_cols = [name for name in scores.columns if name not in ("timestamp", *SCORE_DTYPES)]
    scores = _with_machine(scores, id_cols)
    events = rebuild_events(
        scores,
        id_cols,
        _seconds(scores["timestamp"]),
        open_ends=last_scored(scores, id_cols),
    )
    timeline = ScoreTimeline(len(scores))
    timeline.take(scores)
    statuses = scores["status"].value_counts(sort=True).rows()
    return ScoresReport(
        name=Path(path).name,
        model_ids=tuple(scores["model_id"].drop_nulls().unique(maintain_order=True)),
        id_cols=tuple(id_cols),
        start=str(scores["timestamp"].min()),
        end=str(scores["timestamp"].max()),
        rows={str(status): count for status, count in statuses},
        anomalies=int(scores["is_anomaly"].sum()),
        events=events,
        machines=tuple(_machines(scores)),
        worst_sensors=leading_sensors(events),
        timeline=timeline.timeline(),
    )


def rebuild_events(
    scores: pl.DataFrame,
    id_cols: Sequence[str],
    seconds: pl.Series,
    *,
    open_ends: Mapping[MachineId, object],
) -> tuple[Event, ...]:
    """Rebuild events from the rows that name them.

    Args:
        scores: Score rows; those that are not of an event, and sensors without all of their values,
            are passed over.
        id_cols: What names the machine.
        seconds: The rows' times; null where they are counts.
        open_ends: By machine the timestamp of a row whose event may go on; see `last_scored`.
    """
    timed = scores.with_columns(seconds.alias(_TIME))
    named = timed.drop_nulls(["timestamp", "event_id", "score"])
    return tuple(with_similar(list(_events(_with_machine(named, id_cols), open_ends))))


def last_scored(scores: pl.DataFrame, id_cols: Sequence[str]) -> dict[MachineId, object]:
    """The timestamp of each machine's last row with a score.

    An event that ends with it may go on, as far as rows alone can tell: how many quiet rows it could
    bridge is the model's to know.
    """
    scored = scores.filter(pl.col("score").is_not_null()).select("timestamp", *id_cols)
    last = _with_machine(scored, id_cols).group_by(_MACHINE).agg(pl.col("timestamp").max())
    return {tuple(machine): end for machine, end in last.iter_rows()}


def event_table(scores: pl.DataFrame, id_cols: Sequence[str]) -> pl.DataFrame:
    """Events as a table, the most severe first; see `aster_cli.detector.Detector.events`."""
    time = scores.schema["timestamp"]
    schema = {
        "event_id": pl.String(),
        **dict.fromkeys(id_cols, pl.String()),
        "start": time,
        "end": time,
        "duration_s": pl.Float64(),
        "n_rows": pl.Int64(),
        "peak_time": time,
        "peak_score": pl.Float64(),
        "severity": pl.Float64(),
        "top_sensors": TOP_SENSORS,
        "open": pl.Boolean(),
    }
    rows = [
        (
            *(event.event_id, *event.machine, event.start, event.end, event.duration_s),
            *(event.n_rows, event.peak_time, event.peak_score, event.severity),
            [asdict(part) for part in event.top_sensors],
            event.open,
        )
        for event in rebuild_events(
            scores,
            id_cols,
            _seconds(scores["timestamp"]),
            open_ends=last_scored(scores, id_cols),
        )
    ]
    table = pl.DataFrame(rows, schema=schema, orient="row")
    own = [pl.col(name).cast(scores.schema[name]) for name in id_cols]
    return table.with_columns(own).sort("severity", descending=True, maintain_order=True)


def _with_machine(scores: pl.DataFrame, id_cols: Sequence[str]) -> pl.DataFrame:
    machine = (
        pl.concat_list(pl.col(id_cols).cast(pl.String))
        if id_cols
        else pl.lit([], dtype=pl.List(pl.String))
    )
    return scores.with_columns(machine.alias(_MACHINE))


def _seconds(timestamps: pl.Series) -> pl.Series:
    """Timestamps as seconds; null where they are counts."""
    kind = time_kind(timestamps)
    if kind is None or kind == "counter":
        return pl.Series([None] * len(timestamps), dtype=pl.Float64)
    unit = epoch_unit(timestamps) if kind == "epoch" else None
    return to_instants(timestamps, kind, unit) / 1e9


def _events(named: pl.DataFrame, open_ends: Mapping[MachineId, object]) -> Iterator[Event]:
    for (name,), own in named.group_by("event_id", maintain_order=True):
        rows = own.sort("timestamp", maintain_order=True)  # a log may be out of order
        machine, start, seconds = tuple(rows[_MACHINE][0]), rows["timestamp"][0], rows[_TIME][0]
        event = GrowingEvent(str(name), start, seconds or 0.0)
        columns = ("timestamp", _TIME, "score", "severity", "evidence", "top_sensors")
        for timestamp, time, score, severity, evidence, leading in rows.select(columns).iter_rows():
            event.take(
                timestamp,
                time or 0.0,
                score=score,
                severity=severity or 0.0,
                leading=[
                    (one["sensor"], one["share"] * evidence, (one["actual"], one["expected"]))
                    for one in leading or ()
                    if evidence is not None and None not in one.values()
                ],
            )
        yield event.ended(
            machine,
            seconds_per_unit=None if seconds is None else 1.0,
            still_open=open_ends.get(machine) == event.end,
        )


def _machines(scores: pl.DataFrame) -> Iterator[MachineScores]:
    """How each machine came out, the most severe first."""
    table = scores.group_by(_MACHINE, maintain_order=True).agg(
        pl.len(),
        pl.col("is_anomaly").sum(),
        pl.col("event_id").drop_nulls().n_unique(),
        pl.col("severity").max(),
        pl.col("threshold").last(),
    )
    table = table.sort("severity", descending=True, nulls_last=True, maintain_order=True)
    for machine, *rest in table.iter_rows():
        yield MachineScores(tuple(machine), *rest)


def leading_sensors(events: Sequence[Event]) -> tuple[SensorPart, ...]:
    """All sensors that any event names, by their share of all anomalous rows."""
    total = sum(event.n_rows for event in events)
    share: dict[str, float] = {}
    direction: dict[str, float] = {}
    leads: dict[str, int] = {}
    for event in events:
        for place, part in enumerate(event.top_sensors):
            weight = part.share * event.n_rows / total
            share[part.sensor] = share.get(part.sensor, 0.0) + weight
            direction[part.sensor] = direction.get(part.sensor, 0.0) + weight * part.direction
            leads[part.sensor] = leads.get(part.sensor, 0) + (place == 0)
    return tuple(
        SensorPart(name, share[name], leads[name], int(np.sign(direction[name])))
        for name in sorted(share, key=lambda name: -share[name])
    )
