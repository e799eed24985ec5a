"""Scores files, read back in any format that they can be written in."""

from pathlib import Path

import polars as pl

from aster_cli.config import LogFormat
from aster_cli.errors import LogFormatError
from aster_cli.logs.dataset import latest, parts_of
from aster_cli.logs.readers import HEAD_ROWS, LogReader, open_reader
from aster_cli.logs.sources import STDIN, find_sources, remove_temporary

TOP_SENSORS = pl.List(
    pl.Struct({"sensor": pl.String(), "share": pl.Float32(), "direction": pl.Int8()})
)
SCORE_DTYPES: dict[str, pl.DataType] = {
    "score": pl.Float64(),
    "severity": pl.Float32(),
    "threshold": pl.Float64(),
    "is_anomaly": pl.Boolean(),
    "status": pl.String(),
    "event_id": pl.String(),
    "top_sensors": TOP_SENSORS,
    "model_id": pl.String(),
}
"""What every scores file has beside ``timestamp``, which has the dtype of the log's time column."""


def read_scores(path: str) -> pl.DataFrame:
    """Read a scores file, or all of them in a directory, in the order of their names.

    Of a directory that `aster score --state` writes, only its parts are read, and of rows that several
    parts have the last one counts.

    Returns:
        ``timestamp``, the id columns and those of `SCORE_DTYPES`, in the file's order.

    Raises:
        StorageError: There is no such file.
        LogFormatError: It is no scores file, or has no rows.
    """
    parts = parts_of(Path(path))
    sources = find_sources([str(part) for part in parts] or [path])
    try:
        frames = [_read(open_reader(source)) for source in sources]
        return latest(frames, SCORE_DTYPES) if parts else pl.concat(frames, how="vertical_relaxed")
    finally:
        remove_temporary(sources)


def is_scores_file(path: str, *, input_format: LogFormat | None = None) -> bool:
    """Tell by its columns whether a file, or the first one of a directory or glob, holds scores.

    Standard input and pipes can be read only once: they are left alone, and pass for no scores. So
    does a file whose suffix is not known, where no format is given.

    Args:
        path: The file.
        input_format: What it holds, where its suffix would say otherwise.

    Raises:
        StorageError: It cannot be read.
        LogFormatError: It is not of its format, or has no rows.
    """
    place = Path(path)
    if path == STDIN or (place.exists() and not (place.is_file() or place.is_dir())):
        return False
    try:
        sources = find_sources([path], input_format=input_format)
    except LogFormatError:  # of the suffix: nothing has been read
        return False
    try:
        return not _lacking(open_reader(sources[0]))
    finally:
        remove_temporary(sources)


def _lacking(reader: LogReader) -> list[str]:
    return [name for name in ("timestamp", *SCORE_DTYPES) if name not in reader.stored]


def _read(reader: LogReader) -> pl.DataFrame:
    where = reader.source.display_name
    lacking = _lacking(reader)
    if lacking:
        raise LogFormatError(f"is no aster scores file: it lacks {lacking[0]!r}", where=where)
    _, head = reader.head()
    wanted = {**reader.stored, **SCORE_DTYPES, "timestamp": head.schema["timestamp"]}
    for name, dtype in SCORE_DTYPES.items():
        stored = reader.stored[name]
        both_numbers = stored.is_numeric() and dtype.is_numeric()
        if not (both_numbers or isinstance(stored, (pl.String, pl.Null, type(dtype)))):
            raise LogFormatError(
                f"is no aster scores file: column {name!r} is {stored}, not {dtype}", where=where
            )
    if reader.stored["top_sensors"] != pl.String:
        return pl.concat(reader.frames(wanted, rows=HEAD_ROWS))
    scores = pl.concat(reader.frames({**wanted, "top_sensors": pl.String()}, rows=HEAD_ROWS))
    try:
        return scores.with_columns(pl.col("top_sensors").str.json_decode(TOP_SENSORS))
    except pl.exceptions.ComputeError as error:
        raise LogFormatError("column 'top_sensors' is not JSON", where=where) from error
