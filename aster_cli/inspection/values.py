"""What an inspection found: frozen values that become JSON as they are."""

from typing import Any, Literal

import msgspec

from aster_cli.results import Event, MachineId
from aster_cli.schema import TimeKind

BUCKETS = 120
"""Stretches of equally many rows that a sparkline or a timeline is cut into."""

Sparkline = tuple[float | None, ...]
"""One value for each stretch of rows; None where it has none."""

FindingKind = Literal[
    "clock",
    "machines",
    "gaps",
    "too short",
    "anomalies",
    "label",
    "id",
    "counter",
    "unit jump",
    "duplicate",
    "clipped",
    "frozen",
    "mostly missing",
    "all missing",
    "almost constant",
    "constant",
]

ADVICE: dict[FindingKind, str] = {
    "clock": "mend the clock, or let --sort and --duplicates put its rows in order",
    "machines": "rows of several machines must not be taken for one: --id-col",
    "gaps": "no window crosses a gap: a larger --max-gap, or leave out what brings them",
    "too short": "training needs at least 64 rows of one machine without a gap: give more rows",
    "anomalies": "what is learnt as normal is never found: --incidents FILE writes them down, "
    "for `aster train --exclude FILE`",
    "label": "if it is one, it is no sensor: --label-col, or --exclude-cols",
    "id": "if it names machines, it is no sensor: --id-col",
    "counter": "it leaves the range that a detector learns: --exclude-cols",
    "unit jump": "convert one part, train on the other alone, or leave it out: --exclude-cols",
    "duplicate": "it counts twice: --exclude-cols",
    "clipped": "what lies beyond is not seen: widen its range, or know that it is blind there",
    "frozen": "a stuck sensor, if nothing else explains it: --exclude, or --exclude-cols",
    "mostly missing": "rows without it may not be scored: --exclude-cols",
    "all missing": "training leaves it out",
    "almost constant": "any change of it will look anomalous; if that is wrong: --exclude-cols",
    "constant": "nothing to learn from it; a change will look anomalous",
}
"""What to do about a finding; the most harmful first."""


class Finding(msgspec.Struct, frozen=True):
    """Why a log or a sensor deserves a look."""

    kind: FindingKind
    detail: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE[self.kind]


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
    still_machine: MachineId  # whose it is
    still_from: int  # its first row: of the machine's own, from 0
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


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch that is unlike the rest of the log, in a sensor or several."""

    machine: MachineId
    start: str  # the first row's timestamp
    end: str  # and the last one's
    rows: int  # about: stretches are as wide as the log is long
    sensors: tuple[str, ...]  # that leave their usual range, the farthest first
    times: float  # how far at most, in widths of that range


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
    n_falls: int  # rows earlier than their machine's row before
    n_repeats: int  # rows at the time of their machine's row before
    longest_gaps: tuple[Gap, ...]
    missing_cells: int
    missing_share: float
    label_col: str | None
    labelled_rows: int | None  # rows labelled anomalous
    sensors: tuple[SensorReport, ...]
    findings: tuple[Finding, ...]  # about the log as a whole
    suspects: tuple[Suspect, ...]  # likely anomalies, the farthest first
    notes: tuple[str, ...]
    suggestion: str | None  # the command that trains on this log; None where that is too short

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, every finding with its advice."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        for found in (plain, *plain["sensors"]):
            for finding in found["findings"]:
                finding["advice"] = ADVICE[finding["kind"]]
        return plain


class SensorCourse(msgspec.Struct, frozen=True):
    """A sensor's part in the anomalies of each stretch of rows."""

    sensor: str
    share: Sparkline  # mean over the stretch's anomalous rows; None where it has none


class Timeline(msgspec.Struct, frozen=True):
    """Scores over a log's rows, in stretches of equally many rows.

    Every anomalous row shows: `anomalies` counts them, `severity` is a maximum.
    """

    start: str  # timestamp of the first row
    end: str  # and of the last
    severity: Sparkline
    anomalies: tuple[int, ...]
    sensors: tuple[SensorCourse, ...] = ()  # those with the largest parts, the largest first


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
    """What a scores file holds."""

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
        return plain
