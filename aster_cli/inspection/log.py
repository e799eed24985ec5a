"""A log at a glance, from one pass in bounded memory."""

import shlex
from collections.abc import Sequence

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.inspection.sensors import SensorWatch
from aster_cli.inspection.steps import StepWatch
from aster_cli.inspection.values import LogReport, SensorReport
from aster_cli.logs import Log
from aster_cli.logs.log import BATCH_ROWS

_LEFT_OUT = ("label", "id", "counter")  # findings that spoil a detector
_LISTED_FILES = 3


def inspect_log(
    log: Log,
    *,
    paths: Sequence[str] = (),
    columns: ColumnConfig | None = None,
    time: TimeConfig | None = None,
    batch_rows: int = BATCH_ROWS,
) -> LogReport:
    """Read a log once and tell what it holds.

    Args:
        log: An open log.
        paths: How the user named it, for the suggested command.
        columns: What it was opened with, for the same.
        time: What it was opened with: a period that is given, and what counts as a gap.
        batch_rows: Rows that are held at a time; the report does not depend on it.

    Raises:
        LogFormatError: A cell cannot be read.
        DataError: A row has no time, no id or no proper label; or time does not rise.
    """
    schema, time = log.schema, time or TimeConfig()
    # a whole number, for 60 s are to be 60 s: dividing by it is exact where multiplying is not
    per_second = schema.units_per_second
    given = None if time.period is None else time.period * per_second
    watched_steps = StepWatch(schema.time_kind, time.max_gap, given)
    watched_sensors = SensorWatch(len(schema.sensors), log.n_rows, schema.time_kind)
    labelled = 0
    for batch in log.batches(batch_rows):
        watched_steps.take(batch)
        watched_sensors.take(batch)
        labelled += 0 if batch.labels is None else int(batch.labels.sum())
    steps = watched_steps.steps(per_second)
    n_machines, machines = watched_steps.machines()
    start, end, span = watched_steps.span()
    sensors = watched_sensors.reports(schema.sensors, schema.sensor_dtypes)
    missing = sum(sensor.missing for sensor in sensors)
    return LogReport(
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
        period=None if steps.period is None else steps.period / per_second,
        period_steps=steps.period_steps,
        period_exact=steps.period_steps == steps.total,
        irregular_share=steps.irregular / steps.total if steps.total else None,
        max_gap=time.max_gap,
        n_gaps=steps.gaps,
        longest_gaps=steps.longest,
        missing_cells=missing,
        missing_share=missing / (log.n_rows * len(sensors)),
        label_col=schema.label_col,
        labelled_rows=None if schema.label_col is None else labelled,
        sensors=sensors,
        notes=log.notes,
        suggestion=_suggestion(log, paths, columns or ColumnConfig(), sensors),
    )


def _suggestion(
    log: Log, paths: Sequence[str], columns: ColumnConfig, sensors: Sequence[SensorReport]
) -> str:
    """The command that trains on this log, as it can be typed."""
    files = list(paths) or ["-" if one.temporary else str(one.path) for one in log.sources]
    words = ["aster", "train", *files[:_LISTED_FILES]]
    words += ["…"] if len(files) > _LISTED_FILES else []
    for name in columns.id_cols:
        words += ["--id-col", name]
    words += ["--id-from-path"] if columns.id_from_path else []
    words += ["--time-col", columns.time_col] if columns.time_col else []
    words += ["--label-col", columns.label_col] if columns.label_col != "label" else []
    for pattern in columns.sensors:
        words += ["--sensors", pattern]
    spoiling = [
        sensor.name
        for sensor in sensors
        if any(finding.kind in _LEFT_OUT for finding in sensor.findings)
    ]
    for pattern in (*columns.exclude_cols, *spoiling):
        words += ["--exclude-cols", pattern]
    return " ".join(word if word == "…" else shlex.quote(word) for word in words)
