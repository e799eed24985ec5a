"""What scoring found: rows, events, machines, sensors; from a finished run or from a scores file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from aster_cli.inspection import MachineScores, ScoresReport, SensorPart, Timeline
from aster_cli.plain import plain
from aster_cli.relabelling import ThresholdChange
from aster_cli.render.layout import (
    LEAST_NAME,
    QUIET,
    ByWidth,
    Cell,
    Column,
    Fact,
    head,
    section,
    table,
    table_lines,
)
from aster_cli.render.severity import severity_text
from aster_cli.render.timeline import timeline_section
from aster_cli.results import Event, MachineId, SensorShare, Status
from aster_cli.wording import (
    DIRECTIONS,
    NOTHING,
    against_expected,
    count,
    duration,
    listed,
    machine_name,
    moment,
    number,
    share,
    shorten,
    until,
)

MOST_EVENTS, MOST_SENSORS = 10, 3
_MOST_ROWS = 10  # of machines and sensors

_MOSTLY = {1: f"↑ {DIRECTIONS[1]}", -1: f"↓ {DIRECTIONS[-1]}", 0: "·"}
STATUSES = {
    "ok": "scored",
    "provisional": "scored provisionally",
    "gap": "in a segment shorter than a window",
    "missing": "missing cells",
    "short": "of a log shorter than a window",
}
"""How many rows have which status: what follows their number."""


@runtime_checkable
class Summary(Protocol):
    """What is shown of `aster_cli.scoring.ScoreSummary`, whose module imports torch."""

    @property
    def rows(self) -> Mapping[Status, int]:
        """Rows by status."""

    @property
    def anomalies(self) -> int:
        """Anomalous rows."""

    @property
    def events(self) -> Sequence[Event]:
        """Events, in any order."""


def score_summary(
    summary: Summary,
    *,
    name: str = "",
    timeline: Timeline | None = None,
    thresholds: Sequence[ThresholdChange] = (),
    most: int = MOST_EVENTS,
) -> RenderableType:
    """What a finished scoring run came to.

    Args:
        summary: Complete: all tables have been taken.
        name: Of the log.
        timeline: See `aster_cli.inspection.ScoreTimeline`.
        thresholds: Those that were set anew.
        most: Events that are shown.
    """
    return Group(
        head(
            plain(name) or "Scores",
            [
                *_counts(
                    {str(s): n for s, n in summary.rows.items()},
                    summary.anomalies,
                    len(summary.events),
                ),
                ("threshold", listed([*map(_change, thresholds)], _MOST_ROWS) or None),
            ],
        ),
        *timeline_section(timeline),
        *_events(summary.events, most),
    )


def _change(one: ThresholdChange) -> str:
    """A machine's new threshold, and the one before where it was another: ``P1 2.41 (2.083 before)``."""
    name = f"{shorten(machine_name(one.machine), LEAST_NAME)} " if one.machine else ""
    new, old = number(one.new), number(one.old)
    return f"{name}{new} (as before)" if new == old else f"{name}{new} ({old} before)"


def unknown_machines(machines: Sequence[MachineId]) -> tuple[str, ...]:
    """A note on machines that the model does not know, where there are any."""
    if not machines:
        return ()
    names = listed([machine_name(machine) for machine in machines], _MOST_ROWS)
    return (f"not known from training, so taken as the average of machines that are: {names}",)


def late_rows(rows: int, machines: Sequence[MachineId]) -> tuple[str, ...]:
    """A note on rows that came too late to be scored, where there are any."""
    if not rows:
        return ()
    names = listed([machine_name(machine) for machine in machines if machine], _MOST_ROWS)
    of_whom = f" of {names}" if names else ""
    return (f"{count(rows, 'row')}{of_whom} came later than --delay allows, and are left out",)


def scores_report(report: ScoresReport, *, most: int = MOST_EVENTS) -> RenderableType:
    """Everything that is known of a scores file."""
    span = until(moment(report.start), moment(report.end))
    thresholds = [one.threshold for one in report.machines if one.threshold is not None]
    facts: list[Fact] = [
        ("model", ", ".join(map(plain, report.model_ids)) or NOTHING),
        ("span", span),
        *_counts(report.rows, report.anomalies, len(report.events)),
        ("threshold", _range(thresholds)),
    ]
    parts: list[RenderableType] = [
        head(plain(report.name), facts),
        *timeline_section(report.timeline),
        *_events(report.events, most),
    ]
    if report.id_cols:
        shown = _machine_table(report.machines[:_MOST_ROWS])
        parts.append(section("Machines", shown, about=_first(_MOST_ROWS, len(report.machines))))
    if report.worst_sensors:
        shown = _sensor_table(report.worst_sensors[:_MOST_ROWS])
        about = f"over all events{_first(_MOST_ROWS, len(report.worst_sensors), ', ')}"
        parts.append(section("Sensors", shown, about=about))
    return Group(*parts)


def _counts(rows: Mapping[str, int], anomalies: int, n_events: int) -> list[Fact]:
    total = sum(rows.values())
    scored = sum(rows.get(status, 0) for status in ("ok", "provisional"))
    other = ", ".join(
        f"{count(n)} {STATUSES.get(status, plain(status))}"
        for status, n in rows.items()
        if status != "ok" and n
    )
    of_scored = f" ({share(anomalies / scored)} of scored rows)" if scored else ""
    events = f" in {count(n_events, 'event')}" if n_events else ""
    return [
        ("rows", f"{count(total)}, {'all' if scored == total else count(scored)} of them scored"),
        ("the others", other or None),
        ("anomalies", f"{count(anomalies)}{of_scored}{events}" if anomalies else "none"),
    ]


def _range(values: Sequence[float]) -> str | None:
    if not values:
        return None
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}, by machine"


def _events(events: Sequence[Event], most: int) -> Iterable[RenderableType]:
    if not events:
        return
    worst = sorted(events, key=lambda event: -event.severity)[:most]
    about = f"the {len(worst)} worst of {count(len(events))}" if len(events) > most else ""
    heading = "Events, the most severe first"
    starts = {event.event_id: _named_start(event) for event in events}
    yield section(heading, ByWidth(lambda width: _event_table(worst, starts, width)), about=about)


def _event_table(events: Sequence[Event], starts: Mapping[str, str], width: int) -> RenderableType:
    """One line an event; on a screen too narrow for that, its sensors go below it, and a long machine.

    Args:
        events: In the order shown.
        starts: How every event of the log is called where another looks like it.
        width: Of the screen.
    """
    has_machines = any(event.machine for event in events)
    columns = [
        Column("severity"),
        *([Column("machine")] if has_machines else []),
        Column("start and end"),
        Column("length", "right"),
        Column("rows", "right"),
    ]
    rows: list[list[Cell]] = [
        [
            severity_text(event.severity),
            *([shorten(machine_name(event.machine), 24)] if has_machines else []),
            _when(event),
            duration(event.duration_s),
            count(event.n_rows),
        ]
        for event in events
    ]
    sensors = [_sensors(event.top_sensors, MOST_SENSORS) for event in events]
    likes = [_like(event, starts) for event in events]
    full = [*columns, Column("peak"), Column("sensors"), *([Column("like")] if any(likes) else [])]
    more = (
        [moment(e.peak_time), s, like] for e, s, like in zip(events, sensors, likes, strict=True)
    )
    wide = list(
        table_lines(full, ([*row, *own][: len(full)] for row, own in zip(rows, more, strict=True)))
    )
    if max(line.cell_len for line in wide) <= width:
        return Group(*wide)
    titles, *shown = table_lines(columns, rows)
    crowded = has_machines and max(line.cell_len for line in (titles, *shown)) > width
    if crowded:
        columns, rows = [columns[0], *columns[2:]], [[row[0], *row[2:]] for row in rows]
        titles, *shown = table_lines(columns, rows)
    lines = [titles]
    indent = " " * 6
    for line, event, like in zip(shown, events, likes, strict=True):
        below = [
            *([machine_name(event.machine)] if crowded else []),
            _fitting_sensors(event.top_sensors, width - len(indent)),
            *([f"like {like}"] if like else []),
        ]
        lines += [
            line,
            *(Text(f"{indent}{part}", QUIET, overflow="ellipsis", no_wrap=True) for part in below),
        ]
    return Group(*lines)


def _when(event: Event) -> str:
    stretch = until(moment(event.start), moment(event.end))
    return f"{stretch} (open)" if event.open else stretch


def _named_start(event: Event) -> str:
    start = moment(event.start)
    return f"{shorten(machine_name(event.machine), 24)} {start}" if event.machine else start


def _like(event: Event, starts: Mapping[str, str]) -> str:
    """The earlier event that looks most like this one, and how many more do."""
    if not event.similar:
        return ""
    first, *others = event.similar
    return starts[first] + (f" and {len(others)} more" if others else "")


def _fitting_sensors(parts: Sequence[SensorShare], width: int) -> str:
    """As many of the leading sensors as a line has room for, one at least."""
    for most in range(MOST_SENSORS, 1, -1):
        shown = _sensors(parts, most)
        if cell_len(shown) <= width:
            return shown
    return _sensors(parts, 1)


def _sensors(parts: Sequence[SensorShare], most: int) -> str:
    if not parts:
        return NOTHING
    first, *others = map(against_expected, parts[:most])
    return ", ".join((f"{first} expected" if parts[0].direction else first, *others))


def _machine_table(machines: Sequence[MachineScores]) -> RenderableType:
    return table(
        [
            Column("machine", least=LEAST_NAME),
            Column("severity"),
            Column("events", "right"),
            Column("anomalies", "right"),
            Column("rows", "right"),
            Column("threshold", "right"),
        ],
        (
            (
                shorten(machine_name(one.machine), 30),
                severity_text(one.severity, word=one.events > 0),
                count(one.events),
                count(one.anomalies),
                count(one.rows),
                number(one.threshold),
            )
            for one in machines
        ),
    )


def _sensor_table(sensors: Sequence[SensorPart]) -> RenderableType:
    return table(
        [
            Column("sensor", least=LEAST_NAME),
            Column("share", "right"),
            Column("leads", "right"),
            Column("mostly"),
        ],
        (
            (
                shorten(plain(one.sensor), 40),
                share(one.share),
                count(one.leads, "event"),
                _MOSTLY[one.direction],
            )
            for one in sensors
        ),
    )


def _first(most: int, total: int, before: str = "") -> str:
    """Say that there are more than are shown."""
    return f"{before}the first {most} of {count(total)}" if total > most else ""
