"""What an inspection found: frozen values that become JSON as they are."""

from typing import Any, Literal

import msgspec

from aster_cli.logs.clock import TimeKind
from aster_cli.results import Event, MachineId

BUCKETS = 60
"""Stretches of equally many rows that a sparkline or a timeline is cut into."""

Sparkline = tuple[float | None, ...]
"""One value for each stretch of rows; None where it has none."""

FindingKind = Literal[
    "all missing",
    "mostly missing",
    "constant",
    "almost constant",
    "frozen",
    "counter",
    "duplicate",
    "label",
    "id",
]


class Finding(msgspec.Struct, frozen=True):
    """Why a sensor deserves a look."""

    kind: FindingKind
    detail: str


class SensorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor over the whole log; numbers are None where no cell has a value."""

    name: str
    dtype: str
    missing: int  # cells that are null, NaN or infinite
    missing_share: float
    min: float | None
    mean: float | None
    max: float | None
    std: float | None  # with n - 1 degrees of freedom
    longest_still: int  # rows of the longest run of one and the same value, within a machine
    findings: tuple[Finding, ...]
    sparkline: Sparkline  # means


class MachineRows(msgspec.Struct, frozen=True):
    """A machine's part of the log."""

    machine: MachineId
    rows: int
    start: str
    end: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A step in time long enough to end a segment."""

    machine: MachineId
    start: str  # the last row before it
    end: str  # the first row after it
    length: float  # seconds, or units of a counter
    periods: float


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a log holds.

    Times are text; those of epochs are written out in UTC. Lengths are seconds where
    `in_seconds`, else counts.
    """

    name: str
    sources: tuple[str, ...]
    formats: tuple[str, ...]
    rows: int
    n_machines: int
    machines: tuple[MachineRows, ...]  # those with the most rows
    id_cols: tuple[str, ...]
    time_col: str | None
    time_kind: TimeKind
    time_dtype: str
    in_seconds: bool
    start: str
    end: str
    span: float
    period: float | None  # the median step; None without two rows of one machine
    period_steps: int  # the steps that it is the median of: the log's first
    period_exact: bool  # whether those are all steps
    irregular_share: float | None  # of steps more than 1 % off the period
    max_gap: float  # periods
    n_gaps: int
    longest_gaps: tuple[Gap, ...]
    missing_cells: int
    missing_share: float
    label_col: str | None
    labelled_rows: int | None  # rows labelled anomalous
    sensors: tuple[SensorReport, ...]
    notes: tuple[str, ...]
    suggestion: str  # the command that trains on this log

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Timeline(msgspec.Struct, frozen=True):
    """Scores over a log's rows, in stretches of equally many rows.

    Every anomalous row shows: `anomalies` counts them, `severity` is a maximum.
    """

    start: str  # timestamp of the first row
    end: str  # and of the last
    severity: Sparkline
    anomalies: tuple[int, ...]


class MachineScores(msgspec.Struct, frozen=True):
    """How a machine came out."""

    machine: MachineId
    rows: int
    anomalies: int
    events: int
    severity: float | None  # the highest; None where no row was scored
    threshold: float | None


class SensorPart(msgspec.Struct, frozen=True):
    """A sensor's part in all anomalies together."""

    sensor: str
    share: float  # mean over all anomalous rows
    leads: int  # events in which no other sensor has a larger share
    direction: int  # +1 mostly above what was expected, -1 below, 0 neither


class ScoresReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a scores file holds. Its events do not tell whether they were still open."""

    name: str
    model_ids: tuple[str, ...]
    id_cols: tuple[str, ...]
    start: str
    end: str
    rows: dict[str, int]  # by status
    anomalies: int
    events: tuple[Event, ...]  # in order of their start in the file
    machines: tuple[MachineScores, ...]  # the most severe first
    worst_sensors: tuple[SensorPart, ...]
    timeline: Timeline

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        for event in plain["events"]:
            del event["open"]
        return plain
