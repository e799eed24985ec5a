"""From a log to what training works on: series, their sampling period, parts of time, segments."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.config import MissingPolicy, TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import Incident, LogSchema
from aster_cli.results import Clock, FloatArray, LogBatch, MachineId, Segment, Series
from aster_cli.segments import Segmenter, median_step

TRAIN, EARLY_STOPPING = 0.7, 0.1
"""Shares of a machine's rows; the rest calibrates."""

FEWEST_WINDOWS = 8
"""A machine with fewer windows of rows than this is not split: all of it trains."""


@dataclass(frozen=True, slots=True)
class Split:
    """One machine's rows by what they serve, in order of time and a window apart."""

    train: Series
    early_stopping: Series
    calibration: Series


def collect(batches: Iterable[LogBatch]) -> tuple[list[Series], pl.Series]:
    """Hold a log whole: its series by machine, and its timestamps' first and last."""
    numbers: dict[MachineId, list[NDArray[np.int64]]] = {}
    times: dict[MachineId, list[Clock]] = {}
    values: dict[MachineId, list[FloatArray]] = {}
    stamps = []
    for batch in batches:
        stamps.append(batch.keys["timestamp"].sort().gather([0, len(batch) - 1]))
        for machine, places in batch.by_machine():
            numbers.setdefault(machine, []).append(places + batch.first_row)
            times.setdefault(machine, []).append(batch.time[places])
            values.setdefault(machine, []).append(batch.values[places])
    series = [
        Series(
            machine,
            np.concatenate(numbers[machine]),
            cast(Clock, np.concatenate(times[machine])),
            np.concatenate(values[machine]),
        )
        for machine in times
    ]
    seen = pl.concat(stamps)
    return series, pl.Series([seen.min(), seen.max()])


def skip_incidents(
    series: list[Series], incidents: list[Incident], id_cols: tuple[str, ...], *, gap: float
) -> tuple[list[Series], int, tuple[str, ...]]:
    """Take the rows of known incidents out of the log, and leave a gap in their place.

    The clock is set forward behind each, so that no window or fill reaches across, however short it
    was.

    Args:
        series: The log.
        incidents: What to take out.
        id_cols: The names of what a machine's id is made of.
        gap: How far the clock is set forward.

    Returns:
        The machines that have rows left, the number of rows taken out, and what is to be said of it.

    Raises:
        DataError: No row is left.
    """
    left, met = [], np.zeros(len(incidents), dtype=bool)
    for one in series:
        kept = np.ones(len(one), dtype=bool)
        for number, incident in enumerate(incidents):
            if incident.concerns(one.machine, id_cols):
                inside = (one.time >= incident.start) & (one.time <= incident.end)
                met[number] |= inside.any()
                kept &= ~inside
        reopens = np.diff(kept, prepend=kept[:1]) & kept
        time = one.time + (np.cumsum(reopens) * gap).astype(one.time.dtype)
        if kept.any():
            left.append(Series(one.machine, one.numbers[kept], time[kept], one.values[kept]))
    if not left:
        raise DataError("every row lies in a known incident", hint="check --exclude")
    skipped = sum(map(len, series)) - sum(map(len, left))
    if not incidents:
        return left, skipped, ()
    note = f"{skipped:,} rows lie in known incidents and are skipped"
    if not met.all():
        note += f"; of the {len(met)} incidents {np.sum(~met)} met no row"
    return left, skipped, (note,)


def drop_empty_sensors(
    schema: LogSchema, series: list[Series]
) -> tuple[LogSchema, list[Series], tuple[str, ...]]:
    """Leave out sensors without a single value, and say so.

    Raises:
        DataError: No sensor is left.
    """
    has_values = np.any([~np.isnan(one.values).all(axis=0) for one in series], axis=0)
    empty = [name for name, has in zip(schema.sensors, has_values, strict=True) if not has]
    if not empty:
        return schema, series, ()
    if len(empty) == len(schema.sensors):
        raise DataError("every sensor is missing in every row", hint="check the log's columns")
    kept = np.flatnonzero(has_values)
    schema = msgspec.structs.replace(
        schema,
        sensors=tuple(schema.sensors[i] for i in kept),
        sensor_dtypes=tuple(schema.sensor_dtypes[i] for i in kept),
    )
    series = [Series(s.machine, s.numbers, s.time, s.values[:, kept]) for s in series]
    return schema, series, tuple(f"sensor {name!r} has no value and is left out" for name in empty)


def state_sensors(series: list[Series]) -> NDArray[np.bool_]:
    """Which sensors have shown two values at most, ``(sensor,)``: states and commands.

    None is named where no other sensor moves: then they are all that there is to measure.
    """
    columns = [
        np.concatenate(column) for column in zip(*(one.values.T for one in series), strict=True)
    ]
    values = np.array([len(np.unique(column[~np.isnan(column)])) for column in columns])
    states: NDArray[np.bool_] = (values <= 2) & (values > 2).any()
    return states


def sampling_period(series: list[Series], schema: LogSchema, config: TimeConfig) -> float:
    """The sampling period in seconds, or in units of a counter.

    Raises:
        DataError: The log has no two rows to measure it on.
    """
    if config.period is not None:
        return config.period
    step = median_step([one.time for one in series])
    if step is None:
        raise DataError("has one row only, so it has no sampling period", hint="give more rows")
    return step / schema.units_per_second


def split_time(series: Series, window_size: int) -> Split:
    """Part a machine's rows by time, a window apart, so that no window sees two parts.

    Early stopping and calibration each get a window at least; a short machine is not split.
    """
    n = len(series)
    if n < FEWEST_WINDOWS * window_size:
        return Split(series, series.rows(n, n), series.rows(n, n))
    usable = n - 2 * window_size
    stopping = max(window_size, round(EARLY_STOPPING * usable))
    train = min(round(TRAIN * usable), usable - stopping - window_size)
    second = train + window_size
    third = second + stopping + window_size
    return Split(
        series.rows(0, train), series.rows(second, third - window_size), series.rows(third, n)
    )


def segments_of(series: Series, longest: float, missing: MissingPolicy) -> list[Segment]:
    """A machine's segments with missing cells filled, ready for windows.

    Args:
        series: The machine's rows.
        longest: The longest step that is no gap, in units of its clock.
        missing: How missing cells are filled.
    """
    segmenter = Segmenter(series.values.shape[1], longest, missing)
    decided = segmenter.push(series.numbers, series.time, series.values), segmenter.finish()
    numbers = np.concatenate([rows.numbers for rows in decided])
    values = np.concatenate([rows.values for rows in decided])
    starts = np.flatnonzero(np.concatenate([rows.opens for rows in decided]))
    ends = np.append(starts[1:], len(numbers))
    return [
        Segment(series.machine, numbers[start:end], values[start:end])
        for start, end in zip(starts, ends, strict=False)
    ]


def fingerprint(series: list[Series]) -> str:
    """SHA-256 over a log's machines, times and sensor values, machine after machine."""
    digest = hashlib.sha256()
    for one in series:
        digest.update(repr((one.machine, len(one))).encode())
        digest.update(np.ascontiguousarray(one.time).tobytes())
        digest.update(np.ascontiguousarray(one.values).tobytes())
    return digest.hexdigest()
