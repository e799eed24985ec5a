"""Which column of a log plays which part: chosen from its first rows, or matched to a model's.

Nothing is guessed silently: what is left out is said in a note, and what could be meant in two ways
is an error that names both.
"""

import difflib
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypedDict

import msgspec
import polars as pl

from aster_cli.config import ColumnConfig
from aster_cli.errors import DataError, LogFormatError, SchemaMismatchError
from aster_cli.logs.clock import RisingTime, TimeKind, time_kind, to_instants
from aster_cli.logs.machines import code_machines

TIME_NAMES = (
    *("timestamp", "datetime", "date_time", "date", "time", "ts", "unix_time", "unixtime"),
    *("epoch", "t", "elapsed", "step", "cycle", "counter", "sample", "row", "index"),
)
"""Usual names of a numeric time column, the most telling first."""

INSTANT_KINDS = ("datetime", "date", "epoch")
LISTED = 5  # names that a message lists before it counts


class LogSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts that a log's columns play."""

    sensors: tuple[str, ...]  # in the order of `LogBatch.values`
    sensor_dtypes: tuple[str, ...]  # as the log has them
    time_col: str | None  # None: rows are counted
    time_kind: TimeKind
    time_dtype: str
    seconds_per_unit: float | None  # of `LogBatch.time`; None: it counts, it does not measure
    id_cols: tuple[str, ...]
    id_from_path: bool
    label_col: str | None


def infer_schema(
    head: pl.DataFrame, config: ColumnConfig, *, where: str, path_ids: Sequence[str] = ()
) -> tuple[LogSchema, tuple[str, ...]]:
    """Choose the parts that columns play, and say in notes what was left out.

    Args:
        head: The first rows, text already typed.
        config: What the user says about columns.
        where: The file, for messages.
        path_ids: Id columns that come from the file's path.

    Raises:
        DataError: A named column does not exist or cannot play its part, the time column is
            ambiguous, or no sensor is left.
        LogFormatError: The named time column is text that cannot be read as times.
    """
    for pattern in config.exclude_cols:
        _require_match(pattern, head.columns, "--exclude-cols", where)
    ids = _id_columns(head, config, where, path_ids)
    label = config.label_col if config.label_col in head.columns else None
    roles = dict.fromkeys(ids, "an id column")
    if label is not None:
        roles[label] = "the label column"
    free = head.select(
        name
        for name in head.columns
        if name not in roles and not _matches(name, config.exclude_cols)
    )
    own_ids = head.select(name for name in ids if name not in path_ids)
    clocks = [name for name in free.columns if _is_clock(free[name], own_ids)]
    time_col = config.time_col or _find_time(free, clocks, where)
    notes = [] if time_col is not None else ["no time column found: rows count as time"]
    if time_col is not None:
        roles[time_col] = "the time column"
    sensors, left_out = _find_sensors(head, config, roles, clocks, where)
    notes += left_out
    schema = LogSchema(
        sensors=sensors,
        sensor_dtypes=tuple(str(head.schema[name]) for name in sensors),
        id_cols=ids,
        id_from_path=bool(path_ids),
        label_col=label,
        **_time_fields(head, time_col, where),
    )
    return schema, tuple(notes)


def match_schema(
    expected: LogSchema,
    head: pl.DataFrame,
    config: ColumnConfig,
    *,
    where: str,
    path_ids: Sequence[str] = (),
    allow_missing_sensors: bool = False,
) -> tuple[LogSchema, tuple[str, ...]]:
    """Find the columns that a model expects, in any order, and say in notes what is ignored.

    Args:
        expected: The schema of the log that the model was trained on.
        head: The first rows of this log, text already typed.
        config: What the user says about columns; a time or id column named there may be called
            otherwise than the model's.
        where: The file, for messages.
        path_ids: Id columns that come from the file's path.
        allow_missing_sensors: Whether a missing sensor is only said.

    Returns:
        This log's schema, with the model's sensors in the model's order.

    Raises:
        SchemaMismatchError: A sensor is missing or no number, the id columns or the kind of time
            differ; names both sides.
        DataError: A column named by the user does not exist.
    """
    ids = _id_columns(head, config, where, path_ids)
    if expected.id_cols and set(ids) != set(expected.id_cols):
        raise SchemaMismatchError(
            f"the model tells machines apart by {listed(expected.id_cols)}, "
            f"this log by {listed(ids) or 'nothing'}",
            where=where,
            hint="name the columns with --id-col, or use --id-from-path",
        )
    time_col = config.time_col or expected.time_col
    if time_col is not None and time_col not in head.columns and not config.time_col:
        raise SchemaMismatchError(
            f"the model expects the time column {time_col!r}, the log has {listed(head.columns)}",
            where=where,
            hint="name its time column with --time-col",
        )
    time = _time_fields(head, time_col, where)
    if _family(time["time_kind"]) != _family(expected.time_kind):
        raise SchemaMismatchError(
            f"the model expects time as {_family(expected.time_kind)} "
            f"(column {expected.time_col!r}, {expected.time_dtype}), "
            f"the log has {_family(time['time_kind'])} (column {time_col!r}, {time['time_dtype']})",
            where=where,
        )
    missing = [name for name in expected.sensors if name not in head.columns]
    label = config.label_col if config.label_col in head.columns else None
    known = {*expected.sensors, *ids, time_col, label}
    unknown = [name for name in head.columns if name not in known]
    notes = [f"ignored, not known to the model: {listed(unknown)}"] if unknown else []
    if missing and not allow_missing_sensors:
        raise SchemaMismatchError(
            f"the model expects {len(expected.sensors)} sensors, of which the log lacks "
            f"{listed(missing)}; its other columns are {listed(unknown) or 'none'}",
            where=where,
            hint="rename the columns, or go on with --allow-missing-sensors",
        )
    if missing:
        notes.append(f"sensors that the log lacks count as missing: {listed(missing)}")
    wrong = [
        f"{name!r} is {head.schema[name]} where the model expects {dtype}"
        for name, dtype in zip(expected.sensors, expected.sensor_dtypes, strict=True)
        if name not in missing and not _is_measured(head.schema[name])
    ]
    if wrong:
        more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise SchemaMismatchError(", ".join(wrong[:LISTED]) + more, where=where)
    schema = msgspec.structs.replace(
        expected,
        id_cols=expected.id_cols or ids,
        id_from_path=bool(path_ids),
        label_col=label,
        **time,
    )
    return schema, tuple(notes)


def listed(names: Collection[str]) -> str:
    """Quote names, control characters escaped: the first few, and how many more there are."""
    shown = ", ".join(map(repr, list(names)[:LISTED]))
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


class _TimeFields(TypedDict):
    """The fields of `LogSchema` that speak of time."""

    time_col: str | None
    time_kind: TimeKind
    time_dtype: str
    seconds_per_unit: float | None


def _time_fields(head: pl.DataFrame, time_col: str | None, where: str) -> _TimeFields:
    """Describe the time column; refuse one that holds no times."""
    if time_col is None:
        return {
            "time_col": None,
            "time_kind": "row",
            "time_dtype": "Int64",
            "seconds_per_unit": None,
        }
    _require_column(time_col, head.columns, "--time-col", where)
    cells = head[time_col]
    kind = time_kind(cells)
    if kind is None and cells.dtype == pl.String:
        example = next(iter(cells.drop_nulls()), None)
        raise LogFormatError(
            f"the times in column {time_col!r}, such as {example!r}, cannot be read",
            where=where,
            hint="write them in ISO form, all with or all without an offset",
        )
    if kind is None:
        raise DataError(f"column {time_col!r} is {cells.dtype}, not a time", where=where)
    return {
        "time_col": time_col,
        "time_kind": kind,
        "time_dtype": str(cells.dtype),
        "seconds_per_unit": 1e-9 if kind in INSTANT_KINDS else None,
    }


def _family(kind: TimeKind) -> str:
    """Name the kinds whose times can stand for each other."""
    return {"counter": "a counter", "row": "row numbers"}.get(kind, "dates")


def _id_columns(
    head: pl.DataFrame, config: ColumnConfig, where: str, path_ids: Sequence[str]
) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys((*config.id_cols, *path_ids)))
    for name in ids:
        _require_column(name, (*head.columns, *path_ids), "--id-col", where)
    return ids


def _find_time(free: pl.DataFrame, clocks: list[str], where: str) -> str | None:
    """Choose the one date column, or else the numeric clock with the most telling name."""
    dates = [name for name in free.columns if free.schema[name] in (pl.Date, pl.Datetime)]
    if len(dates) > 1:
        raise DataError(
            f"more than one column could be the time: {listed(dates)}",
            where=where,
            hint="choose with --time-col",
        )
    return next(iter(dates), min(clocks, key=_clock_rank, default=None))


def _is_clock(cells: pl.Series, ids: pl.DataFrame) -> bool:
    """Tell whether a column is named like a clock, and is an epoch or rises."""
    if cells.name.strip().lower() not in TIME_NAMES:
        return False
    kind = time_kind(cells)
    if kind != "counter":
        return kind == "epoch"
    time = to_instants(cells, kind, None)
    known = time.is_not_null()
    time, ids = time.filter(known), ids.filter(known) if ids.width else ids
    machines = code_machines(ids, len(time))
    falls = RisingTime(allow_repeats=True).first_fault(time.to_numpy(), *machines) is not None
    return not falls and (time.n_unique() > 1 or len(time) == 1)


def _clock_rank(name: str) -> int:
    return TIME_NAMES.index(name.strip().lower())


def _find_sensors(
    head: pl.DataFrame,
    config: ColumnConfig,
    roles: dict[str, str],
    clocks: list[str],
    where: str,
) -> tuple[tuple[str, ...], list[str]]:
    """Choose the measured columns; say what was left out unasked."""
    sensors = []
    left_out: dict[str, list[str]] = {}
    for name, dtype in head.schema.items():
        named = name in config.sensors
        if named and (name in roles or not _is_measured(dtype)):
            raise DataError(
                f"column {name!r} cannot be a sensor: it is {roles.get(name, dtype)}",
                where=where,
                hint="take it out of --sensors",
            )
        if name in roles or _matches(name, config.exclude_cols):
            continue
        if config.sensors and not _matches(name, config.sensors):
            continue
        if not _is_measured(dtype):
            left_out.setdefault("not numeric", []).append(name)
        elif not named and _is_identifier(name):
            left_out.setdefault("identifiers", []).append(name)
        elif not named and name in clocks:
            left_out.setdefault("further clocks", []).append(name)
        else:
            sensors.append(name)
    for pattern in config.sensors:
        _require_match(pattern, sensors, "--sensors", where)
    if not sensors:
        raise DataError(f"no usable sensor among {listed(head.columns)}", where=where)
    return tuple(sensors), [f"left out, {why}: {listed(names)}" for why, names in left_out.items()]


def _is_measured(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)


def _is_identifier(name: str) -> bool:
    """Tell whether a name says that the numbers are names; pandas leaves its index unnamed."""
    plain = name.strip()
    return plain.lower() in ("", "id", "uuid", "serial") or plain.endswith(
        ("_id", "_ID", "Id", "_uuid")
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _require_match(pattern: str, names: Collection[str], option: str, where: str) -> None:
    if not any(_matches(name, (pattern,)) for name in names):
        raise DataError(
            f"{option} {pattern!r} matches no column",
            where=where,
            hint=_nearest(pattern, names),
        )


def _require_column(name: str, names: Collection[str], option: str, where: str) -> None:
    if name not in names:
        raise DataError(f"{option} {name!r} is no column", where=where, hint=_nearest(name, names))


def _nearest(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"its columns are {listed(names)}"
