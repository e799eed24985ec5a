"""Score rows, kept compact while tables go by, then put in the order of machine and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.errors import LogFormatError
from aster_cli.inspection import last_scored, rebuild_events
from aster_cli.logs import SCORE_DTYPES
from aster_cli.logs.clock import epoch_unit, time_kind, to_instants
from aster_cli.logs.machines import code_machines
from aster_cli.results import Event, FloatArray, MachineId
from aster_cli.schema import TimeKind
from aster_cli.wording import machine_name, moment

MOST_MACHINES = 200
"""Machines that are drawn one by one; all others share a lane."""

STATUSES = ("ok", "provisional", "gap", "missing", "short")
_NANOSECONDS = 1e9
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class ReportClock:
    """The log's own clock, and how its instants become distances from the first one.

    Attributes:
        kind: How timestamps are read; a log without time counts.
        unit: Of an epoch, in nanoseconds.
        zone: The time zone of datetimes that have one.
        origin: The first instant: nanoseconds since 1970, or a count.
        blur: Nanoseconds by which a timestamp may lie behind what is said of it: events have theirs
            to the microsecond.
    """

    kind: TimeKind
    unit: int | None
    zone: str | None
    origin: int | float
    blur: int

    @classmethod
    def of(cls, timestamps: pl.Series) -> "ReportClock":
        """Read the clock off all timestamps.

        Raises:
            LogFormatError: They are no times.
        """
        kind = time_kind(timestamps)
        if kind is None:
            raise LogFormatError("column 'timestamp' holds no times", where="the scores")
        unit = epoch_unit(timestamps) if kind == "epoch" else None
        zone, blur = None, 0
        if isinstance(timestamps.dtype, pl.Datetime):
            zone = timestamps.dtype.time_zone
            blur = 999 if timestamps.dtype.time_unit == "ns" else 0
        instants = to_instants(timestamps, kind, unit)
        return cls(kind, unit, zone, instants.min() or 0, blur)  # type: ignore[arg-type]

    @property
    def in_seconds(self) -> bool:
        """Whether distances are seconds, and not counts."""
        return self.kind != "counter"

    def distances(self, timestamps: pl.Series) -> FloatArray:
        """How far timestamps lie behind the origin, in seconds or counts; NaN where there is none."""
        instants = to_instants(timestamps, self.kind, self.unit)
        if not self.in_seconds:
            return instants.cast(pl.Float64).to_numpy() - self.origin
        # whole nanoseconds first: floats of that size cannot hold them
        since = instants - self.origin
        return since.cast(pl.Float64).to_numpy() / _NANOSECONDS

    def text(self, timestamp: object) -> str:
        """A timestamp as the log has it; that of an epoch is written out."""
        if self.unit is None:
            return moment(timestamp)
        nanoseconds = int(timestamp * self.unit)  # type: ignore[operator]
        return f"{moment(_EPOCH + timedelta(microseconds=nanoseconds // 1000))} UTC"

    def text_at(self, distance: float) -> str:
        """The same of a distance from the origin, to the second."""
        if not self.in_seconds:
            return f"{self.origin + distance:.12g}"
        at = _EPOCH + timedelta(seconds=round(self.origin / _NANOSECONDS + distance))
        if self.zone is not None:
            at = at.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone))
        if self.kind == "date":
            return str(at.date())
        return f"{moment(at)} UTC" if self.kind == "epoch" else moment(at)


@dataclass(frozen=True, slots=True)
class ReportRows:
    """All rows of a scores table, lane by lane and in the order of time.

    A lane is a machine; where there are too many, the least severe ones share the last lane.

    Attributes:
        clock: What `time` counts from.
        machines: All of them, and the lane of each: positions in `lanes`.
        lanes: What is drawn one by one, the most severe first: machines by name.
        bounds: ``(lane + 1,)`` where each lane's rows start.
        time: ``(row,)`` distances from the clock's origin, never falling within a lane.
        score: ``(row,)`` NaN where a row has none.
        severity: ``(row,)`` the same.
        threshold: ``(row,)`` the same.
        anomalous: ``(row,)``.
        status: ``(row,)`` positions in `STATUSES`.
        order: ``(row,)`` each row's number in the table.
        events: In order of their start in the table.
        model_ids: The models that scored the rows.
        id_cols: What names the machine.
        start: The earliest timestamp, as the log has it.
        end: The latest.
        repeats: Rows that have the time of another row of their machine.
        first_repeat: The earliest of these times; None where there is none.
    """

    clock: ReportClock
    machines: dict[MachineId, int]
    lanes: tuple[str, ...]
    bounds: NDArray[np.int64]
    time: FloatArray
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    threshold: NDArray[np.float32]
    anomalous: NDArray[np.bool_]
    status: NDArray[np.uint8]
    order: NDArray[np.int64]
    events: tuple[Event, ...]
    model_ids: tuple[str, ...]
    id_cols: tuple[str, ...]
    start: object
    end: object
    repeats: int
    first_repeat: object

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time)

    def places(self) -> NDArray[np.int64]:
        """Where each row of the table lies, ``(row,)``."""
        places = np.empty(len(self), dtype=np.int64)
        places[self.order] = np.arange(len(self))
        return places

    def span_of(self, event: Event) -> tuple[int, int, int]:
        """The lane of an event, and the half-open stretch of rows from its start to its end."""
        lane = self.machines[event.machine]
        first, last = self.bounds[lane], self.bounds[lane + 1]
        start, end = self.ends_of(event)
        end += self.clock.blur / _NANOSECONDS
        own = self.time[first:last]
        return (
            lane,
            int(first + np.searchsorted(own, start, side="left")),
            int(first + np.searchsorted(own, end, side="right")),
        )

    def ends_of(self, event: Event) -> tuple[float, float]:
        """An event's start and end as distances."""
        start, end = self.clock.distances(pl.Series([event.start, event.end])).tolist()
        return start, end


class RowCollector:
    """Follows score tables as they go by; about 30 bytes a row are kept."""

    def __init__(self) -> None:
        self._keys: list[pl.DataFrame] = []
        self._columns: list[pl.DataFrame] = []
        self._named: list[pl.DataFrame] = []

    def take(self, table: pl.DataFrame) -> None:
        """Take the next rows.

        Raises:
            LogFormatError: A score or a status is none that aster writes.
        """
        _require_sound(table)
        ids = _ids(table)
        self._keys.append(table.select("timestamp", *ids))
        statuses = pl.Enum(STATUSES)
        self._columns.append(
            table.select(
                pl.col("score").cast(pl.Float32),
                pl.col("severity").cast(pl.Float32).fill_nan(None),
                pl.col("threshold").cast(pl.Float32),
                pl.col("is_anomaly").fill_null(False),
                pl.col("status").cast(statuses),
                pl.col("model_id").cast(pl.Categorical),
            )
        )
        self._named.append(table.filter(pl.col("event_id").is_not_null()))

    def rows(self, events: Sequence[Event] | None = None) -> ReportRows:
        """What the tables came to.

        Args:
            events: Those of the rows, where they are known; else they are rebuilt.

        Raises:
            LogFormatError: There are no rows, or their timestamps are no times.
        """
        keys, columns = pl.concat(self._keys), pl.concat(self._columns)
        if keys.is_empty():
            raise LogFormatError("has no rows", where="the scores")
        id_cols = keys.columns[1:]
        repeated = keys["timestamp"].filter(keys.is_duplicated())
        clock = ReportClock.of(keys["timestamp"])
        time = clock.distances(keys["timestamp"])
        machines, codes = code_machines(keys.select(id_cols), len(keys))
        severity = columns["severity"].fill_null(0.0).to_numpy()
        lane_of, names = _lanes(machines, codes, severity)
        lanes = lane_of[codes]
        order = np.lexsort((time, lanes))
        bounds = np.searchsorted(lanes[order], np.arange(len(names) + 1))
        if events is None:
            named = pl.concat(self._named)
            seconds = pl.Series(clock.distances(named["timestamp"]))
            if not clock.in_seconds:
                seconds = pl.Series([None] * len(named), dtype=pl.Float64)
            scored = keys.with_columns(columns["score"])
            events = rebuild_events(named, id_cols, seconds, open_ends=last_scored(scored, id_cols))

        def ordered(name: str) -> NDArray[np.float32]:
            return columns[name].fill_null(float("nan")).to_numpy()[order]

        return ReportRows(
            clock=clock,
            machines=dict(zip(machines, lane_of.tolist(), strict=True)),
            lanes=names,
            bounds=bounds.astype(np.int64),
            time=time[order],
            score=ordered("score"),
            severity=ordered("severity"),
            threshold=ordered("threshold"),
            anomalous=columns["is_anomaly"].to_numpy()[order],
            status=columns["status"].to_physical().cast(pl.UInt8).to_numpy()[order],
            order=order,
            events=tuple(events),
            model_ids=tuple(map(str, columns["model_id"].drop_nulls().unique(maintain_order=True))),
            id_cols=tuple(id_cols),
            start=keys["timestamp"].min(),
            end=keys["timestamp"].max(),
            repeats=len(repeated),
            first_repeat=repeated.min(),
        )


def _require_sound(table: pl.DataFrame) -> None:
    """Refuse what cannot be drawn: scores files come from anywhere."""
    for name in ("score", "severity", "threshold"):
        infinite = table[name].cast(pl.Float32).is_infinite()
        if infinite.any():
            value = table[name].filter(infinite)[0]
            raise LogFormatError(
                f"has a {name} of {value}", where="the scores", hint="score the log again"
            )
    unknown = table["status"].drop_nulls().unique().to_list()
    unknown = [status for status in unknown if status not in STATUSES]
    if unknown:
        raise LogFormatError(
            f"has the status {unknown[0]!r}",
            where="the scores",
            hint=f"the statuses are {', '.join(STATUSES)}",
        )


def _lanes(
    machines: Sequence[MachineId], codes: NDArray[np.int32], severity: NDArray[np.float32]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Each machine's lane, the most severe first, and the lanes' names."""
    worst = np.zeros(len(machines), dtype=np.float32)
    np.maximum.at(worst, codes, severity)
    order = np.argsort(-worst, kind="stable")
    lane_of = np.empty(len(machines), dtype=np.int64)
    lane_of[order] = np.minimum(np.arange(len(machines)), MOST_MACHINES)
    names = [machine_name(machines[i]) for i in order[:MOST_MACHINES].tolist()]
    others = len(machines) - MOST_MACHINES
    return lane_of, (*names, *([f"{others:,} others"] if others > 0 else []))


def _ids(table: pl.DataFrame) -> list[str]:
    """What names the machine: every column that no scores file has of itself."""
    return [name for name in table.columns if name not in ("timestamp", *SCORE_DTYPES)]
