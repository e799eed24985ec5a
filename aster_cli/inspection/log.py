"""A log at a glance, from one pass in bounded memory."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection.order import (
    LEAST_ROWS,
    describe_clock,
    describe_gaps,
    describe_length,
    find_machine_column,
)
from aster_cli.inspection.sensors import SensorWatch
from aster_cli.inspection.sketch import Course, Sketch
from aster_cli.inspection.steps import Steps, StepWatch
from aster_cli.inspection.stretches import describe_suspects, find_suspects
from aster_cli.inspection.units import find_unit_jumps
from aster_cli.inspection.values import Finding, LogReport, SensorReport
from aster_cli.logs import Log
from aster_cli.logs.log import BATCH_ROWS

_LEFT_OUT = ("label", "id", "counter", "unit jump", "duplicate", "mostly missing")
"""Findings for which the suggested command leaves a sensor out."""

_LISTED_FILES = 3


def inspect_log(
    log: Log,
    *,
    paths: Sequence[str] = (),
    columns: ColumnConfig | None = None,
    time: TimeConfig | None = None,
    incidents: str | None = None,
    batch_rows: int = BATCH_ROWS,
) -> LogReport:
    """What a log holds, and what would spoil training; see `survey`, whose report this is."""
    return survey(
        log,
        paths=paths,
        columns=columns,
        time=time,
        incidents=incidents,
        batch_rows=batch_rows,
    )[0]


def survey(
    log: Log,
    *,
    paths: Sequence[str] = (),
    columns: ColumnConfig | None = None,
    time: TimeConfig | None = None,
    incidents: str | None = None,
    batch_rows: int = BATCH_ROWS,
    advance: Callable[[int], None] | None = None,
) -> tuple[LogReport, tuple[Course, ...]]:
    """Read a log once and tell what it holds, and what would spoil training.

    Time may repeat or fall here, unless the log was opened to be arranged: then it is arranged first.

    Args:
        log: An open log.
        paths: How the user named it, for the suggested command.
        columns: What it was opened with, for the same.
        time: What it was opened with: a period that is given, and what counts as a gap.
        incidents: Where its likely anomalies will be written, for the same.
        batch_rows: Rows that are held at a time; the report does not depend on it.
        advance: Told how many rows have been read since it was told last.

    Returns:
        The report, and the courses of the first machines.

    Raises:
        LogFormatError: A cell cannot be read.
        DataError: A row has no time, no id or no proper label.
    """
    schema, time = log.schema, time or TimeConfig()
    # a whole number, for 60 s are to be 60 s: dividing by it is exact where multiplying is not
    per_second = schema.units_per_second
    given = None if time.period is None else time.period * per_second
    watched_steps = StepWatch(schema.time_kind, time.max_gap, given)
    watched_sensors = SensorWatch(len(schema.sensors), log.n_rows, schema.time_kind)
    sketch = Sketch(len(schema.sensors), schema.time_kind)
    labelled = 0
    arranged = time.sort or time.duplicates != "error"
    for batch in log.batches(batch_rows) if arranged else log.as_found(batch_rows):
        watched_steps.take(batch)
        watched_sensors.take(batch)
        sketch.take(batch)
        labelled += 0 if batch.labels is None else int(batch.labels.sum())
        if advance is not None:
            advance(len(batch))
    steps = watched_steps.steps(per_second)
    n_machines, machines = watched_steps.machines()
    start, end, span = watched_steps.span()
    courses = sketch.courses(steps.longest_step)
    sensors = _with_jumps(
        watched_sensors.reports(schema.sensors, schema.sensor_dtypes), courses, schema.id_cols
    )
    missing = sum(sensor.missing for sensor in sensors)
    period = None if steps.period is None else steps.period / per_second
    suspects = find_suspects(courses, schema.sensors)
    machine_column = find_machine_column(log) if steps.disorder else None
    findings = [
        *describe_clock(log, steps, span / per_second, per_second, machine_column),
        *describe_gaps(steps),
        *describe_length(machines),
        *describe_suspects(suspects),
    ]
    report = LogReport(
        name=log.name,
        sources=tuple(source.display_name for source in log.sources),
        formats=tuple(dict.fromkeys(source.format for source in log.sources)),
        rows=log.n_rows,
        n_machines=n_machines,
        machines=machines,
        id_cols=schema.id_cols,
        time_col=schema.time_col,
        time_kind=schema.time_kind,
        time_dtype=schema.time_dtype,
        in_seconds=schema.seconds_per_unit is not None,
        start=start,
        end=end,
        span=span / per_second,
        period=period,
        period_steps=steps.period_steps,
        period_exact=steps.period_steps == steps.total,
        irregular_share=steps.irregular / steps.total if steps.total else None,
        max_gap=time.max_gap,
        n_gaps=steps.gaps,
        n_falls=steps.falls,
        n_repeats=steps.repeats,
        longest_gaps=steps.longest,
        missing_cells=missing,
        missing_share=missing / (log.n_rows * len(sensors)),
        label_col=schema.label_col,
        labelled_rows=None if schema.label_col is None else labelled,
        sensors=sensors,
        findings=tuple(findings),
        suspects=suspects,
        notes=log.notes,
        suggestion=None
        if max(machine.rows for machine in machines) < LEAST_ROWS
        else _typed(
            *_files(log, paths),
            *_flags_of_columns(columns or ColumnConfig(), machine_column),
            *_flags_of_time(time, steps, machine_column),
            *(("--exclude", incidents) if incidents and suspects else ()),
            *_exclusions(columns or ColumnConfig(), sensors, machine_column),
        ),
    )
    return report, courses


def _with_jumps(
    sensors: tuple[SensorReport, ...], courses: Iterable[Course], id_cols: Sequence[str]
) -> tuple[SensorReport, ...]:
    """The sensors, with what their courses tell beside their numbers; one word for each."""
    jumps: dict[int, Finding] = {}
    for course in courses:
        whose = f" ({'/'.join(course.machine)})" if id_cols else ""
        for sensor, detail in find_unit_jumps(course):
            jumps.setdefault(sensor, Finding("unit jump", detail + whose))
    return tuple(
        msgspec.structs.replace(report, findings=(*report.findings, jumps[i]))
        if i in jumps
        else report
        for i, report in enumerate(sensors)
    )


def _typed(*words: str) -> str:
    """Words as a shell takes them."""
    return " ".join(word if word == "…" else shlex.quote(word) for word in words)


def _files(log: Log, paths: Sequence[str]) -> Iterator[str]:
    """The suggested command as far as its flags."""
    files = list(paths) or ["-" if one.temporary else one.address for one in log.sources]
    yield from ("aster", "train", *files[:_LISTED_FILES])
    if len(files) > _LISTED_FILES:
        yield "…"


def _flags_of_columns(columns: ColumnConfig, machine_column: str | None) -> Iterator[str]:
    for name in columns.id_cols or ((machine_column,) if machine_column else ()):
        yield from ("--id-col", name)
    if columns.id_from_path:
        yield "--id-from-path"
    if columns.time_col:
        yield from ("--time-col", columns.time_col)
    if columns.label_col != "label":
        yield from ("--label-col", columns.label_col)
    for pattern in columns.sensors:
        yield from ("--sensors", pattern)


def _flags_of_time(time: TimeConfig, steps: Steps, machine_column: str | None) -> Iterator[str]:
    disorder = steps.disorder is not None and machine_column is None
    if time.sort or (disorder and steps.falls):
        yield "--sort"
    # rows out of order may be at the times of others, too
    duplicates = "last" if disorder else time.duplicates
    if duplicates != "error":
        yield from ("--duplicates", duplicates)


def _exclusions(
    columns: ColumnConfig, sensors: Sequence[SensorReport], machine_column: str | None
) -> Iterator[str]:
    spoiling = [
        sensor.name
        for sensor in sensors
        if sensor.name != machine_column
        and any(finding.kind in _LEFT_OUT for finding in sensor.findings)
    ]
    for pattern in (*columns.exclude_cols, *spoiling):
        yield from ("--exclude-cols", pattern)
