"""The door: files become one log, their columns, types and order checked once and early."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import polars as pl

from aster_cli.config import ColumnConfig, LogFormat, TimeConfig
from aster_cli.errors import DataError, EmptyLogError, SchemaMismatchError
from aster_cli.logs.clock import common_dtype, epoch_unit, to_instants
from aster_cli.logs.frames import FrameReader
from aster_cli.logs.log import Log
from aster_cli.logs.matching import match_schema
from aster_cli.logs.parts import Part
from aster_cli.logs.readers import LogReader, open_reader
from aster_cli.logs.schema import infer_schema, listed
from aster_cli.logs.sources import Source, find_sources, remove_temporary
from aster_cli.schema import LogSchema


def open_log(
    paths: Sequence[str],
    columns: ColumnConfig,
    time: TimeConfig,
    *,
    expected: LogSchema | None = None,
    input_format: LogFormat | None = None,
    allow_missing_sensors: bool = False,
) -> Log:
    """Open files as one log, having looked at the first rows of each.

    Files without rows are passed over, and noted, where others have some: a log that was just rotated
    begins anew.

    Args:
        paths: Files, globs, directories, or ``-`` for standard input.
        columns: Which column plays which part.
        time: Whether rows are sorted by time, and repeated times merged.
        expected: The schema of the log that a model was trained on; columns are matched to it.
        input_format: What the files hold, where their suffix would say otherwise.
        allow_missing_sensors: Whether sensors that the model expects may be missing.

    Raises:
        StorageError: A path leads to no log, or a file cannot be read.
        EmptyLogError: No file has rows.
        LogFormatError: A file is not of its format, or has unreadable cells.
        DataError: The columns do not fit what was asked.
        SchemaMismatchError: A file does not fit the model, or the other files.
    """
    sources = find_sources(paths, input_format=input_format)
    try:
        openers = [partial(open_reader, source) for source in sources]
        name = sources[0].stem
        return _open(openers, name, columns, time, expected, allow_missing_sensors)
    except BaseException:
        remove_temporary(sources)
        raise


def open_frame(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: ColumnConfig,
    time: TimeConfig,
    *,
    expected: LogSchema | None = None,
) -> Log:
    """Take a frame as a log; see `open_log`.

    Raises:
        EmptyLogError: It has no rows.
        LogFormatError: It has unreadable cells.
        DataError: Its columns do not fit what was asked.
        SchemaMismatchError: It does not fit the model.
    """
    reader = FrameReader(frame)
    return _open([lambda: reader], reader.source.stem, columns, time, expected, False)


def _open(
    openers: Iterable[Callable[[], LogReader]],
    name: str,
    columns: ColumnConfig,
    time: TimeConfig,
    expected: LogSchema | None,
    allow_missing: bool,
) -> Log:
    if expected is not None:
        columns = _as_in_training(columns, expected)
    looks, empty = [], []
    for opener in openers:
        try:
            looks.append(_look(opener(), columns, expected, allow_missing))
        except EmptyLogError as error:
            empty.append(error)
    if not looks:
        raise empty[0]
    looks.sort(key=lambda look: look.first_time)
    notes = dict.fromkeys(note for look in looks for note in look.notes)
    if empty:
        names = listed([str(error.where) for error in empty])
        notes[f"no rows in {names}; passed over"] = None
    return Log(_agree([look.part for look in looks]), list(notes), name, time)


@dataclass(frozen=True, slots=True)
class _Look:
    """What the first rows of a file say."""

    part: Part
    first_time: int | float
    notes: tuple[str, ...]


def _as_in_training(columns: ColumnConfig, expected: LogSchema) -> ColumnConfig:
    """Take machines from where the model's training log had them, unless told otherwise."""
    if columns.id_cols or columns.id_from_path:
        return columns
    return msgspec.structs.replace(
        columns, id_cols=expected.id_cols, id_from_path=expected.id_from_path
    )


def _look(
    reader: LogReader, columns: ColumnConfig, expected: LogSchema | None, allow_missing: bool
) -> _Look:
    source = reader.source
    stored, head = reader.head()
    path_ids = _path_ids(source, columns)
    where = source.display_name
    if expected is None:
        schema, notes = infer_schema(head, columns, where=where, path_ids=tuple(path_ids))
    else:
        schema, notes = match_schema(
            expected,
            head,
            columns,
            where=where,
            path_ids=tuple(path_ids),
            allow_missing_sensors=allow_missing,
        )
    unit = None
    first_time: int | float = 0
    if schema.time_col is not None:
        cells = head[schema.time_col]
        unit = epoch_unit(cells) if schema.time_kind == "epoch" else None
        first = to_instants(cells.head(1), schema.time_kind, unit)[0]
        if first is None:
            raise DataError(f"column {schema.time_col!r} has no time", where=f"{where}, row 1")
        first_time = first
        notes = (*notes, *_time_notes(stored[schema.time_col], cells))
    part = Part(reader, schema, _wanted(reader, head, schema, path_ids), path_ids, unit)
    return _Look(part, first_time, notes)


def _path_ids(source: Source, columns: ColumnConfig) -> dict[str, str]:
    """Read machine ids from the file's path, all of them or those that are asked for."""
    if columns.id_from_path:
        return source.hive or {"machine": source.stem}
    return {key: value for key, value in source.hive.items() if key in columns.id_cols}


def _time_notes(stored: pl.Series, cells: pl.Series) -> list[str]:
    """Say how text was read as times where that could be meant otherwise."""
    if stored.dtype != pl.String:
        return []
    notes = []
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone is not None:
        notes.append(f"times in column {cells.name!r} have an offset: they are kept as UTC")
    example = stored[0].strip()
    if not example[:4].isdigit():
        notes.append(f"times in column {cells.name!r} are read day first: {example} is {cells[0]}")
    return notes


def _wanted(
    reader: LogReader, head: pl.DataFrame, schema: LogSchema, path_ids: dict[str, str]
) -> dict[str, pl.DataType]:
    """Say which columns are read, and as what."""
    wanted: dict[str, pl.DataType] = {}
    for name in schema.sensors:
        if name in head.columns:
            wanted[name] = pl.Boolean() if head.schema[name] == pl.Boolean else pl.Float64()
    for name in schema.id_cols:
        if name not in path_ids:
            wanted[name] = reader.stored[name]
    if schema.time_col is not None:
        wanted[schema.time_col] = head.schema[schema.time_col]
    if schema.label_col is not None:
        wanted[schema.label_col] = reader.stored[schema.label_col]
    return wanted


def _agree(parts: Sequence[Part]) -> list[Part]:
    """Give all files the schema of the first, having checked that it is theirs too."""
    first = parts[0]
    for part in parts[1:]:
        _require_same(first, part)
    shared: dict[str, pl.DataType] = {
        name: pl.String()
        for name in first.schema.id_cols
        if len({part.columns[name] for part in parts if name in part.columns}) > 1
    }
    schema = first.schema
    if schema.time_col is not None:
        time_dtype = common_dtype([(part.where, part.columns[schema.time_col]) for part in parts])
        shared[schema.time_col] = time_dtype
        schema = msgspec.structs.replace(schema, time_dtype=str(time_dtype))
    if any(part.schema.label_col is None for part in parts):
        schema = msgspec.structs.replace(schema, label_col=None)
    return [
        replace(
            part,
            schema=schema,
            columns={name: shared.get(name, dtype) for name, dtype in part.columns.items()},
        )
        for part in parts
    ]


def _require_same(first: Part, other: Part) -> None:
    """Refuse a file that cannot continue the first one."""
    mine, theirs = first.schema, other.schema
    lacking = sorted(set(mine.sensors) - set(theirs.sensors))
    added = sorted(set(theirs.sensors) - set(mine.sensors))
    if lacking or added:
        raise SchemaMismatchError(
            f"its sensors are not those of {first.where}: lacks {listed(lacking) or 'none'}, "
            f"adds {listed(added) or 'none'}",
            where=other.where,
            hint="choose the common ones with --sensors or --exclude-cols",
        )
    if mine.id_cols != theirs.id_cols:
        raise SchemaMismatchError(
            f"its machines are told apart by {listed(theirs.id_cols) or 'nothing'}, "
            f"those of {first.where} by {listed(mine.id_cols) or 'nothing'}",
            where=other.where,
        )
    if (mine.time_col, mine.time_kind, first.epoch_unit) != (
        theirs.time_col,
        theirs.time_kind,
        other.epoch_unit,
    ):
        raise SchemaMismatchError(
            f"its time is {_described(other)}, that of {first.where} is {_described(first)}",
            where=other.where,
        )


def _described(part: Part) -> str:
    """Say in words what a file takes as time."""
    schema = part.schema
    if schema.time_col is None:
        return "the row number"
    unit = {1_000_000_000: " in s", 1_000_000: " in ms", 1_000: " in us", 1: " in ns"}
    return (
        f"the {schema.time_kind}{unit.get(part.epoch_unit or 0, '')} in column {schema.time_col!r}"
    )
