"""Which column of a log plays which part, chosen from its first rows.

Nothing is guessed silently: what is left out is said in a note, and what could be meant in two ways
is an error that names both.
"""

import difflib
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypedDict

import polars as pl

from aster_cli.config import ColumnConfig
from aster_cli.errors import DataError, LogFormatError
from aster_cli.logs import cells as text_cells
from aster_cli.logs.clock import rises, time_kind, to_instants
from aster_cli.logs.machines import code_machines
from aster_cli.schema import LogSchema, TimeKind

TIME_NAMES = (
    *("timestamp", "datetime", "date_time", "date", "time", "ts", "unix_time", "unixtime"),
    *("epoch", "t", "elapsed", "step", "cycle", "counter", "sample", "row", "index"),
)
"""Usual names of a time column, the most telling first."""

TIMESTAMP = "timestamp"  # how `LogBatch.keys` calls the time column
INSTANT_KINDS = ("datetime", "date", "epoch")
LISTED = 5  # names that a message lists before it counts


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
        LogFormatError: The time column, named or evidently meant, is text that cannot be read as
            times throughout.
    """
    for pattern in config.exclude_cols:
        _require_match(pattern, head.columns, head.columns, "--exclude-cols", where)
    ids = id_columns(head, config, where, path_ids)
    label = label_column(head, config)
    roles = dict.fromkeys(ids, "an id column")
    if label is not None:
        roles[label] = "the label column"
    free = head.select(
        name
        for name in head.columns
        if name not in roles and not _matches(name, config.exclude_cols)
    )
    own_ids = head.select(name for name in ids if name not in path_ids)
    clocks = [
        name
        for name in free.columns
        if name not in config.sensors and _is_clock(free[name], own_ids)
    ]
    time_col = config.time_col or _find_time(free, clocks, where)
    time = time_fields(head, time_col, roles, where)
    if time_col is not None:
        roles[time_col] = "the time column"
    sensors, notes = _find_sensors(head, config, roles, clocks, where)
    if time_col is None:
        notes.insert(0, "no time column found: rows count as time")
        falling = [name for name in sensors if _is_called_time(name)]
        if falling:
            notes.insert(1, f"does not rise, so it is read as a sensor: {listed(falling)}")
    schema = LogSchema(
        sensors=sensors,
        sensor_dtypes=tuple(str(head.schema[name]) for name in sensors),
        id_cols=ids,
        id_from_path=config.id_from_path,
        label_col=label,
        **time,
    )
    return schema, tuple(notes)


def listed(names: Collection[str]) -> str:
    """Quote names, control characters escaped: the first few, and how many more there are."""
    shown = ", ".join(map(repr, list(names)[:LISTED]))
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


class TimeFields(TypedDict):
    """The fields of `LogSchema` that speak of time."""

    time_col: str | None
    time_kind: TimeKind
    time_dtype: str
    seconds_per_unit: float | None


def time_fields(
    head: pl.DataFrame, time_col: str | None, taken: dict[str, str], where: str
) -> TimeFields:
    """Describe the time column; refuse one that holds no times, or plays another part."""
    if time_col is None:
        return {
            "time_col": None,
            "time_kind": "row",
            "time_dtype": "Int64",
            "seconds_per_unit": None,
        }
    _require_column(time_col, head.columns, "--time-col", where)
    if time_col in taken:
        raise DataError(
            f"column {time_col!r} cannot be the time: it is {taken[time_col]}", where=where
        )
    cells = head[time_col]
    kind = time_kind(cells)
    if kind is None and cells.dtype == pl.String:
        example = next(iter(cells.drop_nulls()), None)
        raise LogFormatError(
            f"the times in column {time_col!r}, such as {example!r}, cannot be read",
            where=where,
            hint="write them in ISO form, all with or all without an offset, or leave the column "
            "out with --exclude-cols",
        )
    if kind is None:
        raise DataError(f"column {time_col!r} is {cells.dtype}, not a time", where=where)
    return {
        "time_col": time_col,
        "time_kind": kind,
        "time_dtype": str(cells.dtype),
        "seconds_per_unit": 1e-9 if kind in INSTANT_KINDS else None,
    }


def label_column(head: pl.DataFrame, config: ColumnConfig) -> str | None:
    """Return the label column, where the log has one."""
    return config.label_col if config.label_col in head.columns else None


def id_columns(
    head: pl.DataFrame, config: ColumnConfig, where: str, path_ids: Sequence[str]
) -> tuple[str, ...]:
    """Return the columns that name the machine; refuse those that do not exist."""
    ids = tuple(dict.fromkeys((*config.id_cols, *path_ids)))
    for name in ids:
        _require_column(name, (*head.columns, *path_ids), "--id-col", where)
    if TIMESTAMP in ids:
        raise DataError(
            f"an id column cannot be called {TIMESTAMP!r}", where=where, hint="rename it"
        )
    return ids


def _find_time(free: pl.DataFrame, clocks: list[str], where: str) -> str | None:
    """Choose the one date column, or else the numeric clock with the most telling name.

    A text column that is evidently meant as time, but not written alike, comes first: counting rows
    or another clock in its place would be silent. `time_fields` refuses it.
    """
    texts = {
        name: text_cells.time_share(free[name])
        for name in free.columns
        if free.schema[name] == pl.String
    }
    meant = [name for name, share in texts.items() if share > 0 and _is_called_time(name)]
    if meant:
        return meant[0]
    dates = [name for name in free.columns if free.schema[name] in (pl.Date, pl.Datetime)]
    if len(dates) > 1:
        raise DataError(
            f"more than one column could be the time: {listed(dates)}",
            where=where,
            hint="choose with --time-col",
        )
    mostly_times = (name for name, share in texts.items() if share > 0.5)
    return next(iter(dates), min(clocks, key=_clock_rank, default=next(mostly_times, None)))


def _is_clock(cells: pl.Series, ids: pl.DataFrame) -> bool:
    """Tell whether a column is named like a clock, and is an epoch or rises."""
    if not _is_called_time(cells.name):
        return False
    kind = time_kind(cells)
    if kind != "counter":
        return kind == "epoch"
    time = to_instants(cells, kind, None)
    known = time.is_not_null()
    time, ids = time.filter(known), ids.filter(known) if ids.width else ids
    _, codes = code_machines(ids, len(time))
    return rises(time.to_numpy(), codes)


def _is_called_time(name: str) -> bool:
    return name.strip().lower() in TIME_NAMES


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
        if named and (name in roles or not is_measured(dtype)):
            raise DataError(
                f"column {name!r} cannot be a sensor: it is {roles.get(name, dtype)}",
                where=where,
                hint="take it out of --sensors",
            )
        if name in roles or _matches(name, config.exclude_cols):
            continue
        if config.sensors and not _matches(name, config.sensors):
            continue
        if not is_measured(dtype):
            left_out.setdefault("not numeric", []).append(name)
        elif not named and _is_identifier(name):
            left_out.setdefault("identifiers", []).append(name)
        elif not named and name in clocks:
            left_out.setdefault("further clocks", []).append(name)
        else:
            sensors.append(name)
    measured = [
        name for name, dtype in head.schema.items() if name not in roles and is_measured(dtype)
    ]
    for pattern in config.sensors:
        _require_match(pattern, sensors, measured or head.columns, "--sensors", where)
    if not sensors:
        raise DataError(f"no usable sensor among {listed(head.columns)}", where=where)
    return tuple(sensors), [f"left out, {why}: {listed(names)}" for why, names in left_out.items()]


def is_measured(dtype: pl.DataType) -> bool:
    """Tell whether a column can be a sensor; one without any value may become one."""
    return dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)


def _is_identifier(name: str) -> bool:
    """Tell whether a name says that the numbers are names; pandas leaves its index unnamed."""
    plain = name.strip()
    return plain.lower() in ("", "id", "uuid", "serial") or plain.endswith(
        ("_id", "_ID", "Id", "_uuid")
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _require_match(
    pattern: str, names: Iterable[str], known: Iterable[str], option: str, where: str
) -> None:
    if not any(_matches(name, (pattern,)) for name in names):
        hint = _nearest(pattern, [name for name in known if name != pattern])
        raise DataError(f"{option} {pattern!r} matches no usable column", where=where, hint=hint)


def _require_column(name: str, names: Collection[str], option: str, where: str) -> None:
    if name not in names:
        raise DataError(f"{option} {name!r} is no column", where=where, hint=_nearest(name, names))


def _nearest(name: str, names: Collection[str]) -> str:
    near = [known for known in names if name.lower() in known.lower()]
    near = near or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    either = " or ".join(map(repr, near[:3]))
    return f"did you mean {either}?" if near else f"there are {listed(names)}"
