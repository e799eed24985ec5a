"""A scores file at a glance: its rows, machines and events, worked out from its columns."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.attribution import TOP, event_shares
from aster_cli.events import with_similar
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
from aster_cli.results import Event, FloatArray, SensorShare

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
    events = rebuild_events(scores, id_cols, _seconds(scores["timestamp"]))
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
    scores: pl.DataFrame, id_cols: Sequence[str], seconds: pl.Series
) -> tuple[Event, ...]:
    """Rebuild events from the rows that name them.

    Args:
        scores: Score rows.
        id_cols: What names the machine.
        seconds: The rows' times; null where they are counts.
    """
    timed = scores.with_columns(seconds.alias(_TIME))
    named = timed.filter(pl.col("event_id").is_not_null())
    return tuple(with_similar(list(_events(_with_machine(named, id_cols)))))


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
    }
    rows = [
        (
            *(event.event_id, *event.machine, event.start, event.end, event.duration_s),
            *(event.n_rows, event.peak_time, event.peak_score, event.severity),
            [
                {"sensor": part.sensor, "share": part.share, "direction": part.direction}
                for part in event.top_sensors
            ],
        )
        for event in rebuild_events(scores, id_cols, _seconds(scores["timestamp"]))
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


def _events(named: pl.DataFrame) -> Iterator[Event]:
    for (name,), rows in named.group_by("event_id", maintain_order=True):
        peak = rows["score"].arg_max() or 0
        first, last = rows[_TIME][0], rows[_TIME][-1]
        yield Event(
            event_id=str(name),
            machine=tuple(rows[_MACHINE][0]),
            start=rows["timestamp"][0],
            end=rows["timestamp"][-1],
            duration_s=None if first is None else last - first,
            n_rows=len(rows),
            peak_time=rows["timestamp"][peak],
            peak_score=rows["score"][peak],
            severity=float(rows["severity"].max() or 0.0),  # type: ignore[arg-type]
            top_sensors=_top_sensors(rows),
            open=False,
        )


def _top_sensors(rows: pl.DataFrame) -> tuple[SensorShare, ...]:
    """The leading sensors over an event's rows; their shares sum to 1."""
    square = (pl.col("share").cast(pl.Float64) * pl.col("evidence")) ** 2
    leading = (
        rows.select("top_sensors", "evidence")
        .drop_nulls("top_sensors")
        .explode("top_sensors")
        .unnest("top_sensors")
        .drop_nulls("sensor")
        .group_by("sensor", maintain_order=True)
        .agg(
            square.sum().alias("squares"),
            (square * pl.col("direction")).sum().sign().cast(pl.Int8).alias("direction"),
        )
        .sort("squares", descending=True, maintain_order=True)
        .head(TOP)
    )
    return tuple(
        SensorShare(sensor, share, direction)
        for sensor, share, direction in zip(
            leading["sensor"],
            event_shares(leading["squares"].to_numpy()).tolist(),
            leading["direction"],
            strict=True,
        )
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
