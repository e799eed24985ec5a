"""One file of a log as a stream of frames, in constant memory, whatever its format.

PyArrow cuts the file into blocks; text cells are typed by `cells`. Rows are counted from 1, the
first one after the header. Whatever goes wrong is a `StorageError` (the file cannot be reached) or
a `LogFormatError` (it can, but is not what it claims to be), on one line and with file and row.
"""

import io
import re
import reprlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import count

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

from aster_cli.config import LogFormat
from aster_cli.errors import EmptyLogError, LogFormatError, StorageError
from aster_cli.logs import cells
from aster_cli.logs.arrow_claims import MAGIC, require_modest_ipc
from aster_cli.logs.json_lines import blocks
from aster_cli.logs.packing import (
    BLOCK_BYTES,
    MOST_COLUMNS,
    TOO_LONG,
    Allowance,
    require_modest_parquet,
)
from aster_cli.logs.sources import Source
from aster_cli.logs.takeover import taken_over

HEAD_ROWS = 8192
DELIMITERS = ",;\t|"
SEARCHED_BYTES = 1 << 28
"""Of unpacked text in which the line of a row is looked for."""

Columns = Mapping[str, pl.DataType]


class LogReader(ABC):
    """One file or frame, its columns already looked at.

    Attributes:
        source: The file.
        stored: Its columns and their dtypes as they are stored: String for whatever is text.
    """

    source: Source
    stored: pl.Schema

    def head(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the first rows, at most `HEAD_ROWS`: as stored, and with text cells typed.

        Raises:
            EmptyLogError: There are no rows.
        """
        with closing(self._frames(self.stored, HEAD_ROWS)) as frames:
            stored = next(frames, None)
        if stored is None:
            raise EmptyLogError("has no rows", where=self.source.display_name)
        return stored, stored.select(
            cells.parse_leniently(column, self._text_dtype(column))
            if column.dtype == pl.String
            else column
            for column in stored
        )

    def frames(self, columns: Columns, *, rows: int) -> Iterator[pl.DataFrame]:
        """Stream some columns, as the dtypes given, in frames of at most `rows` rows.

        Raises:
            LogFormatError: Naming the first text cell that is not of its column's dtype.
        """
        first_row = 1
        for frame in self._frames(columns, rows):
            yield frame.select(
                self._typed(frame[name], dtype, first_row) for name, dtype in columns.items()
            )
            first_row += frame.height

    def count_rows(self) -> int:
        """Count the file's rows, reading no more than one column."""
        narrow = dict(list(self.stored.items())[:1])
        return sum(frame.height for frame in self._frames(narrow, HEAD_ROWS))

    @abstractmethod
    def _frames(self, columns: Columns, rows: int) -> Generator[pl.DataFrame]:
        """Stream some columns as they are stored."""

    def _text_dtype(self, column: pl.Series) -> pl.DataType:
        """Tell what a text column holds; a typed format has text for times only."""
        return cells.infer_time_dtype(column)

    def _typed(self, column: pl.Series, dtype: pl.DataType, first_row: int) -> pl.Series:
        if column.dtype == dtype:
            return column
        if column.dtype == pl.String:
            where = self.source.display_name
            return cells.parse(column, dtype, where=where, first_row=first_row)
        return column.cast(dtype, strict=False)


class FileReader(LogReader):
    """A file, through PyArrow."""

    def __init__(self, source: Source) -> None:
        """Look at the columns.

        Raises:
            StorageError: The file cannot be read.
            EmptyLogError: It is empty.
            LogFormatError: It is not of its format, names two columns alike, or has too many.
        """
        self.source = source
        try:
            self._size = source.size
            if self._size == 0:
                raise EmptyLogError("has no rows", where=source.display_name)
            schema = self._arrow_schema()
            _require_few(schema.names)
            twice = [name for name, times in Counter(schema.names).items() if times > 1]
            if twice:
                where = source.display_name
                raise LogFormatError(f"has two columns named {twice[0]!r}", where=where)
            # Not `from_pylist`, which knows no dictionaries of the kinds that Polars writes.
            nothing = pa.RecordBatch.from_arrays(
                [pa.nulls(0, field.type) for field in schema], schema=schema
            )
            self.stored = taken_over(nothing, text=True).schema
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._translated(error, 0) from error

    @abstractmethod
    def _arrow_schema(self) -> pa.Schema:
        """Return the columns as they are stored."""

    @abstractmethod
    def _batches(self, columns: Columns, rows: int) -> Generator[pa.RecordBatch]:
        """Stream some columns as they are stored, but numbers may be read as the dtypes given.

        Whatever is opened is closed with the generator: PyArrow reads ahead in threads, and one
        that still runs when the process exits can abort it.
        """

    def _translated(self, error: Exception, rows_done: int) -> StorageError:
        """Turn a failure of PyArrow or the system into one line."""
        where = self.source.display_name
        if isinstance(error, OSError) and error.errno is not None:
            return StorageError(f"cannot be read ({error.strerror})", where=where)
        first_line = "".join(str(error).splitlines()[:1])
        if "straddling object" in first_line:
            first_line = TOO_LONG
        message = "".join(letter for letter in first_line if letter.isprintable())
        if message in ("Empty CSV file", "Empty JSON file"):
            return EmptyLogError("has no rows", where=where)
        row = re.search(r" in row (\d+)$", message)
        if row is not None:
            message = message.removesuffix(row[0])
            where = f"{where}, row {rows_done + int(row[1]) + 1}"
        return LogFormatError(f"cannot be read as {self.source.format}: {message}", where=where)

    def _frames(self, columns: Columns, rows: int) -> Generator[pl.DataFrame]:
        """Stream some columns as they are stored."""
        rows_done = 0
        with closing(self._pieces(columns, rows)) as pieces:
            while True:
                try:
                    frame = next(pieces, None)
                except (pa.ArrowException, OSError, UnicodeError) as error:
                    raise self._translated(error, rows_done) from error
                if frame is None:
                    return
                rows_done += frame.height
                yield frame

    def _pieces(self, columns: Columns, rows: int) -> Generator[pl.DataFrame]:
        """Take batches over bit by bit, as far as the file may unpack."""
        allowance = Allowance(self._size)
        with closing(self._batches(columns, rows)) as batches:
            for batch in batches:
                allowance.take(batch.nbytes, batch.num_rows * max(batch.num_columns, 1))
                for start in range(0, batch.num_rows, rows):
                    yield taken_over(batch.slice(start, rows), text=True)


def _require_few(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise pa.ArrowInvalid(f"has more than {MOST_COLUMNS:,} columns")


class CsvReader(FileReader):
    """Delimited text with a header; every cell is stored as text."""

    def _arrow_schema(self) -> pa.Schema:
        with self.source.unpacked() as stream:
            start = stream.read(BLOCK_BYTES).lstrip()
        if len(start) > BLOCK_BYTES // 2 and b"\n" not in start and b"\r" not in start:
            raise pa.ArrowInvalid(TOO_LONG)
        header = start.splitlines()[0].decode() if start else ""
        unquoted = re.sub(r'"[^"]*"', "", header)
        self._delimiter = max(DELIMITERS, key=unquoted.count)
        with self.source.unpacked() as stream, self._open(stream, []) as reader:
            names = reader.schema.names
        _require_few(names)  # before any is looked at
        # pandas leaves its index unnamed, and may number the columns after it.
        if names[0] != "" and all(map(_is_value, names)):
            raise LogFormatError(
                f"has no header: it starts with values such as {names[0]!r}, not with the names "
                "of its columns",
                where=self.source.display_name,
                hint="add a header line",
            )
        return pa.schema([(name, pa.string()) for name in names])

    def _batches(self, columns: Columns, rows: int) -> Generator[pa.RecordBatch]:
        with self.source.unpacked() as stream, self._open(stream, list(columns)) as reader:
            yield from reader

    def _open(self, stream: pa.NativeFile, names: list[str]) -> pa.RecordBatchReader:
        # No `invalid_row_handler`: PyArrow's threads may outlive Python's, and calling into it then
        # aborts the process.
        return pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self._delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                default_column_type=pa.string(),
                include_columns=names,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _text_dtype(self, column: pl.Series) -> pl.DataType:
        return cells.infer_dtype(column)

    def _translated(self, error: Exception, rows_done: int) -> StorageError:
        ragged = _RAGGED.fullmatch(str(error))
        if ragged is not None:
            number, expected, actual, text = ragged.groups()
            return LogFormatError(
                f"has {actual} cells where its header has {expected}: {reprlib.repr(text)}",
                where=f"{self.source.display_name}, line {self._line_of(int(number), text)}",
            )
        if isinstance(error, UnicodeError) or "invalid UTF8" in str(error):
            return LogFormatError("is not UTF-8 text", where=self.source.display_name)
        return super()._translated(error, rows_done)

    def _line_of(self, number: int, text: str) -> int:
        """Find the line of a row: PyArrow counts rows, and thus no empty or continued lines."""
        start = "".join(text.removesuffix(" ...").splitlines()[:1])
        left = SEARCHED_BYTES
        with io.BufferedReader(self.source.unpacked()) as stream:
            for line in count(1):
                # none before the row is longer: PyArrow has read them
                have = stream.readline(min(BLOCK_BYTES, left))
                if line >= number and have.decode(errors="replace").startswith(start):
                    return line
                left -= len(have)
                if not have:
                    break
        return number


_RAGGED = re.compile(
    r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL
)
"""PyArrow's words for a row of another length than the header, which is its row 1."""


def _is_value(name: str) -> bool:
    """Tell whether a column's name is a number, a time or the mark of a missing cell."""
    return cells.infer_dtype(pl.Series([name])) not in (pl.String, pl.Boolean)


class NdjsonReader(FileReader):
    """One JSON object a line; the first block of lines tells the columns."""

    def _arrow_schema(self) -> pa.Schema:
        with self.source.unpacked() as stream:
            first = next(blocks(stream, BLOCK_BYTES), b"")
        self._types = {
            # Text times of all formats are read alike, so here they stay text.
            field.name: pa.string() if pa.types.is_timestamp(field.type) else field.type
            for field in self._table(first, None).schema
        }
        return pa.schema(list(self._types.items()))

    def _batches(self, columns: Columns, rows: int) -> Generator[pa.RecordBatch]:
        types = [
            (
                name,
                self._types[name] if self.stored[name] in (pl.String, dtype) else _json_type(dtype),
            )
            for name, dtype in columns.items()
        ]
        with self.source.unpacked() as stream:
            for block in blocks(stream, BLOCK_BYTES):
                yield from self._table(block, pa.schema(types)).to_batches()

    def _table(self, block: bytes, schema: pa.Schema | None) -> pa.Table:
        return pyarrow.json.read_json(
            pa.BufferReader(block),
            read_options=pyarrow.json.ReadOptions(block_size=len(block) + 1, use_threads=False),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema,
                unexpected_field_behavior="infer" if schema is None else "ignore",
            ),
        )


def _json_type(dtype: pl.DataType) -> pa.DataType:
    """Say what PyArrow's JSON reader calls a dtype; it knows no large lists."""
    type_ = pl.Series(dtype=dtype).to_arrow(compat_level=pl.CompatLevel.oldest()).type
    return pa.list_(type_.value_type) if pa.types.is_large_list(type_) else type_


class ParquetReader(FileReader):
    """Parquet; reads the wanted columns only."""

    def count_rows(self) -> int:
        """Return the number of rows that the file's footer states."""
        with self.source.open() as file:
            return int(pyarrow.parquet.read_metadata(file).num_rows)

    def _arrow_schema(self) -> pa.Schema:
        with self.source.open() as file:
            require_modest_parquet(file)
            return pyarrow.parquet.read_schema(file)

    def _batches(self, columns: Columns, rows: int) -> Generator[pa.RecordBatch]:
        # what PyArrow buffers ahead, it keeps to the end; without a buffer it reads whole row groups
        options = {"pre_buffer": False, "buffer_size": BLOCK_BYTES}
        with self.source.open() as file, pyarrow.parquet.ParquetFile(file, **options) as parquet:
            yield from parquet.iter_batches(
                batch_size=rows, columns=list(columns), use_threads=False
            )


class ArrowReader(FileReader):
    """Arrow IPC, the file layout (also called Feather) or the stream layout."""

    def _arrow_schema(self) -> pa.Schema:
        with self.source.open() as file:
            require_modest_ipc(file)
            file.seek(0)
            return self._open(file, None).schema

    def _batches(self, columns: Columns, rows: int) -> Generator[pa.RecordBatch]:
        names = list(self.stored)
        with self.source.open() as file:
            reader = self._open(file, [names.index(name) for name in columns])
            if isinstance(reader, pyarrow.ipc.RecordBatchFileReader):
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                yield from reader

    def _open(
        self, file: pa.NativeFile, fields: list[int] | None
    ) -> pyarrow.ipc.RecordBatchFileReader | pyarrow.ipc.RecordBatchStreamReader:
        options = pyarrow.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        is_file = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        open_ = pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream
        return open_(file, options=options)


_READERS: dict[LogFormat, type[FileReader]] = {
    "csv": CsvReader,
    "parquet": ParquetReader,
    "ndjson": NdjsonReader,
    "arrow": ArrowReader,
}


def open_reader(source: Source) -> FileReader:
    """Look at a file's first rows and make it ready to stream; see `LogReader`."""
    return _READERS[source.format](source)
