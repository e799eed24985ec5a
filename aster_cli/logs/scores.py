"""Scores files, read back in any format that they can be written in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import polars as pl

from aster_cli.config import LogFormat
from aster_cli.errors import LogFormatError
from aster_cli.logs.dataset import parts_of
from aster_cli.logs.formulas import disarmed, rearm, rearmed
from aster_cli.logs.readers import HEAD_ROWS, LogReader, open_reader
from aster_cli.logs.sources import STDIN, find_sources, remove_temporary

_TOP_SENSOR = {
    "sensor": pl.String(),
    "share": pl.Float32(),
    "direction": pl.Int8(),
    "actual": pl.Float64(),
    "expected": pl.Float64(),
}
TOP_SENSORS = pl.List(pl.Struct(_TOP_SENSOR))
SCORE_DTYPES: dict[str, pl.DataType] = {
    "score": pl.Float64(),
    "severity": pl.Float32(),
    "threshold": pl.Float64(),
    "is_anomaly": pl.Boolean(),
    "status": pl.String(),
    "event_id": pl.String(),
    "top_sensors": TOP_SENSORS,
    "evidence": pl.Float64(),
    "model_id": pl.String(),
}
"""What every scores file has beside ``timestamp``, which has the dtype of the log's time column."""


class ScoresFile:
    """A scores file, or all of them in a directory as one, in the order of their names.

    Of a directory that `aster score --state` writes, only its parts are read, and of rows that several
    parts have the last one counts.

    A context manager, for a copy of standard input must be removed.

    Attributes:
        name: Of a dataset its directory's, otherwise the stem of the first file.
        where: How messages call it.
        schema: ``timestamp``, the id columns and those of `SCORE_DTYPES`, in the file's order.
    """

    def __init__(self, path: str, *, input_format: LogFormat | None = None) -> None:
        """Look at the columns.

        Args:
            path: A file, a directory, or ``-`` for standard input.
            input_format: What it holds, where its suffix would say otherwise.

        Raises:
            StorageError: There is no such file.
            LogFormatError: It is no scores file, has no rows, or its parts have other columns.
        """
        parts = [] if path == STDIN else parts_of(Path(path))
        self._is_dataset = bool(parts)
        files = [str(part) for part in parts] or [path]
        self._sources = find_sources(files, input_format=input_format)
        try:
            self._readers = [open_reader(source) for source in self._sources]
            schemas = [_schema_of(reader) for reader in self._readers]
            try:
                joined = pl.concat([s.to_frame() for s in schemas], how="vertical_relaxed")
            except pl.exceptions.PolarsError as error:
                raise LogFormatError("its files have other columns", where=repr(path)) from error
        except BaseException:
            remove_temporary(self._sources)
            raise
        self.name = Path(path).absolute().name if parts else self._sources[0].stem
        self.where = self._sources[0].display_name
        self.schema = joined.schema

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove what was copied from standard input."""
        remove_temporary(self._sources)

    def frames(self, *columns: str) -> Iterator[pl.DataFrame]:
        """Stream some columns, all where none is named, as often as asked.

        Raises:
            LogFormatError: Naming the first cell that is not what its column holds.
        """
        wanted = {name: self.schema[name] for name in columns or self.schema}
        if self._is_dataset:
            yield from _latest(self._readers, self.schema, wanted)
            return
        for reader in self._readers:
            yield from _frames(reader, wanted)


def read_scores(path: str) -> pl.DataFrame:
    """Read a scores file whole; see `ScoresFile`.

    Raises:
        StorageError: There is no such file.
        LogFormatError: It is no scores file, or has no rows.
    """
    with ScoresFile(path) as scores:
        return pl.concat(scores.frames())


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


def _schema_of(reader: LogReader) -> pl.Schema:
    where = reader.source.display_name
    lacking = _lacking(reader)
    if lacking:
        raise LogFormatError(f"is no aster scores file: it lacks {lacking[0]!r}", where=where)
    _, head = reader.head()
    for name, dtype in SCORE_DTYPES.items():
        stored = reader.stored[name]
        both_numbers = stored.is_numeric() and dtype.is_numeric()
        if not (both_numbers or isinstance(stored, (pl.String, pl.Null, type(dtype)))):
            raise LogFormatError(
                f"is no aster scores file: column {name!r} is {stored}, not {dtype}", where=where
            )
    _require_fields(reader.stored["top_sensors"], where)
    known = {**reader.stored, **SCORE_DTYPES, "timestamp": head.schema["timestamp"]}
    if reader.source.format == "csv":
        known = {rearmed(name): dtype for name, dtype in known.items()}
    return pl.Schema(known)


def _require_fields(stored: pl.DataType, where: str) -> None:
    """Refuse leading sensors that do not tell their values, as those of earlier versions."""
    if isinstance(stored, pl.List) and isinstance(stored.inner, pl.Struct):
        _require_none([name for name in _TOP_SENSOR if name not in dict(stored.inner)], where)


def _require_told(cells: pl.Series, where: str) -> None:
    """The same of leading sensors that are stored as JSON."""
    first = cells.filter(cells.str.contains("{", literal=True)).head(1)
    _require_none(
        [name for name in _TOP_SENSOR for cell in first if f'"{name}"' not in cell], where
    )


def _require_none(lacking: Sequence[str], where: str) -> None:
    if lacking:
        raise LogFormatError(
            f"was written by an earlier aster: its top_sensors have no {lacking[0]!r}",
            where=where,
            hint="score the log again",
        )


def _latest(
    parts: Sequence[LogReader], schema: pl.Schema, wanted: dict[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    """Stream parts, given in the order of their runs, without rows whose key a later one has.

    Of later parts only those are read, column by key column, that reach back into the time of a frame.
    """
    key = {name: dtype for name, dtype in schema.items() if name not in SCORE_DTYPES}
    spans = [_span(part, key["timestamp"]) for part in parts]
    for place, part in enumerate(parts):
        for frame in _frames(part, wanted | key):
            for later, span in zip(parts[place + 1 :], spans[place + 1 :], strict=True):
                if frame["timestamp"].is_between(span.min(), span.max()).any():
                    for known in _frames(later, key):
                        frame = frame.join(
                            known, on=list(key), how="anti", nulls_equal=True, maintain_order="left"
                        )
            yield frame.select(*wanted)


def _span(part: LogReader, clock: pl.DataType) -> pl.Series:
    """Times of a part, the first and the last among them."""
    frames = _frames(part, {"timestamp": clock})
    return pl.concat([frame["timestamp"].sort().gather([0, -1]) for frame in frames])


def _frames(reader: LogReader, wanted: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    if reader.source.format != "csv":
        yield from _decoded(reader, wanted)
        return
    safe = {name: disarmed(name) for name in wanted}
    stored = {safe[n] if safe[n] in reader.stored else n: wanted[n] for n in wanted}
    yield from map(rearm, _decoded(reader, stored))


def _decoded(reader: LogReader, wanted: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """Stream some columns, ``top_sensors`` as a list also where it is stored as JSON."""
    if "top_sensors" not in wanted or reader.stored["top_sensors"] != pl.String:
        yield from reader.frames(wanted, rows=HEAD_ROWS)
        return
    for frame in reader.frames({**wanted, "top_sensors": pl.String()}, rows=HEAD_ROWS):
        try:
            decoded = frame.with_columns(pl.col("top_sensors").str.json_decode(TOP_SENSORS))
        except pl.exceptions.ComputeError as error:
            where = reader.source.display_name
            raise LogFormatError("column 'top_sensors' is not JSON", where=where) from error
        _require_told(frame["top_sensors"], reader.source.display_name)
        yield decoded
