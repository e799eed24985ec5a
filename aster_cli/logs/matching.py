"""A log's columns matched by name to those that a model was trained on; a misfit names both sides."""

from collections.abc import Sequence

import msgspec
import polars as pl

from aster_cli.config import ColumnConfig
from aster_cli.errors import SchemaMismatchError
from aster_cli.logs.schema import (
    LISTED,
    TimeFields,
    id_columns,
    is_measured,
    label_column,
    listed,
    time_fields,
)
from aster_cli.schema import LogSchema, TimeKind


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
    ids, label = _match_ids(expected, head, config, where, path_ids), label_column(head, config)
    time = _match_time(expected, head, config, dict.fromkeys(ids, "an id column"), where)
    missing = [name for name in expected.sensors if name not in head.columns]
    known = {*expected.sensors, *ids, time["time_col"], label}
    unknown = [name for name in head.columns if name not in known]
    notes = [f"ignored, not known to the model: {listed(unknown)}"] if unknown else []
    if len(missing) == len(expected.sensors) or (missing and not allow_missing_sensors):
        raise SchemaMismatchError(
            f"the model expects {len(expected.sensors)} sensors, of which the log lacks "
            f"{listed(missing)}; its other columns are {listed(unknown) or 'none'}",
            where=where,
            hint="rename the columns, or go on with --allow-missing-sensors",
        )
    if missing:
        notes.append(f"sensors that the log lacks are taken as usual: {listed(missing)}")
    wrong = [
        f"{name!r} is {head.schema[name]} where the model expects {dtype}"
        for name, dtype in zip(expected.sensors, expected.sensor_dtypes, strict=True)
        if name not in missing and not is_measured(head.schema[name])
    ]
    if wrong:
        more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise SchemaMismatchError(", ".join(wrong[:LISTED]) + more, where=where)
    schema = msgspec.structs.replace(
        expected, id_cols=ids, id_from_path=config.id_from_path, label_col=label, **time
    )
    return schema, tuple(notes)


def _match_ids(
    expected: LogSchema,
    head: pl.DataFrame,
    config: ColumnConfig,
    where: str,
    path_ids: Sequence[str],
) -> tuple[str, ...]:
    """Find as many id columns as the model has; a model without any takes all machines for one."""
    lost = set(expected.id_cols).difference(head.columns, path_ids)
    if lost.isdisjoint(config.id_cols):
        ids = id_columns(head, config, where, path_ids)
        if set(ids) == set(expected.id_cols):
            return expected.id_cols
        if not expected.id_cols or len(ids) == len(expected.id_cols):
            return ids
    raise SchemaMismatchError(
        f"the model tells machines apart by {listed(expected.id_cols)}, "
        f"the log has {listed((*head.columns, *path_ids))}",
        where=where,
        hint="name as many columns with --id-col, or use --id-from-path",
    )


def _match_time(
    expected: LogSchema,
    head: pl.DataFrame,
    config: ColumnConfig,
    taken: dict[str, str],
    where: str,
) -> TimeFields:
    """Find a time column of the model's kind, under the model's name or the user's."""
    time_col = config.time_col or expected.time_col
    if time_col is not None and time_col == expected.time_col and time_col not in head.columns:
        raise SchemaMismatchError(
            f"the model expects the time column {time_col!r}, the log has {listed(head.columns)}",
            where=where,
            hint="name its time column with --time-col",
        )
    time = time_fields(head, time_col, taken, where)
    mine, theirs = _family(expected.time_kind), _family(time["time_kind"])
    if mine != theirs:
        raise SchemaMismatchError(
            f"the model expects {mine} (column {expected.time_col!r}, {expected.time_dtype}), "
            f"the log has {theirs} (column {time_col!r}, {time['time_dtype']})",
            where=where,
        )
    return time


def _family(kind: TimeKind) -> str:
    """Name the kinds of time that can stand for each other."""
    return {"counter": "a counter", "row": "row numbers"}.get(kind, "dates or an epoch")
