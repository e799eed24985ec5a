"""Frames to files, all or nothing: a target is replaced at the end, or stays as it was."""

import fcntl
import os
import secrets
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from pyarrow.fs import LocalFileSystem, copy_files

from aster_cli.config import LogFormat
from aster_cli.errors import StorageError, UsageError
from aster_cli.logs.formulas import disarm
from aster_cli.logs.stores import is_url, reason_of, store_of
from aster_cli.plain import plain_lines

STDOUT = "-"
GROUP_ROWS = 1 << 16  # rows of a Parquet row group or an Arrow batch, but for the last

SUFFIXES: dict[str, LogFormat] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}


class Writer:
    """Writes frames of one schema, that of the first, to a file or to standard output.

    As a context manager it opens its target on entering, and replaces it on a clean exit only.
    """

    def __init__(self, target: str, format_: LogFormat, *, raw_csv: bool = False) -> None:
        """Take a path, or ``-`` for standard output; see `open_writer`."""
        self._target = target
        self._format = format_
        self._raw_csv = raw_csv
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the target.

        Raises:
            StorageError: It cannot be written.
            UsageError: It is a terminal, and the format is not text.
        """
        shown = self._target == STDOUT and sys.stdout.buffer.isatty()
        if shown and not issubclass(_ENCODERS[self._format], _TextEncoder):
            raise UsageError(
                f"a terminal shows no {self._format}",
                where=repr(STDOUT),
                hint="send it into a file or a pipe, or take --output-format csv",
            )
        if self._target == STDOUT:
            file: BinaryIO = sys.stdout.buffer
        elif is_url(self._target):
            file = self._stack.enter_context(_uploaded_file(self._target))
        else:
            file = self._stack.enter_context(replaced_file(Path(self._target)))
        self._encoder = self._stack.enter_context(_ENCODERS[self._format](file))
        self._encoder.raw_csv, self._encoder.shown = self._raw_csv, shown
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete the file and put it in place; after an error leave the target as it was."""
        with _storage_errors(self._target):
            self._stack.__exit__(kind, error, traceback)

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; the first frame fixes the schema, and may have no rows.

        Raises:
            StorageError: The disk is full, or the like.
            BrokenPipeError: Nobody reads standard output any more.
        """
        with _storage_errors(self._target):
            self._encoder.write(frame)


def open_writer(
    target: str, *, output_format: LogFormat | None = None, raw_csv: bool = False
) -> Writer:
    """Make a writer for a target.

    Args:
        target: A path or an object store's URL, whose suffix tells the format, or ``-`` for standard
            output, which is CSV.
        output_format: The format, where it is to be another.
        raw_csv: Whether CSV keeps text that a spreadsheet would take for a formula; see `formulas`.

    Raises:
        UsageError: The suffix is not known.
    """
    format_ = output_format or ("csv" if target == STDOUT else SUFFIXES.get(_suffix(target)))
    if format_ is None:
        raise UsageError(
            f"the suffix {_suffix(target)!r} is no format to write",
            where=repr(target),
            hint=f"choose one of {' '.join(SUFFIXES)}",
        )
    return Writer(target, format_, raw_csv=raw_csv)


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside `path`, and put it in its place if the block ends without error.

    A device or a pipe is written directly. Hidden files that killed processes left here are removed.

    Raises:
        StorageError: The file cannot be created or put in place.
    """
    target = path.resolve()
    name = str(path)
    file: BinaryIO
    with _storage_errors(name):
        if target.exists() and not target.is_file():
            temporary = target
            file = target.open("wb")
        elif target.exists() and not os.access(target, os.W_OK):
            raise StorageError("is write-protected", where=repr(name))
        else:
            temporary, file = _begun(target)
    try:
        yield file
        with _storage_errors(name):
            _put_in_place(file, temporary, target)
    except BaseException:
        with suppress(OSError):
            file.close()
        if temporary != target:
            temporary.unlink(missing_ok=True)
        raise


def _begun(target: Path) -> tuple[Path, BinaryIO]:
    """A new hidden file beside a target, locked for as long as it is written."""
    for left in target.parent.glob(f".{escape(target.name)}.????????.tmp"):
        _remove_if_left(left)
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        file = temporary.open("xb")
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # another process took it for one that was left


def _remove_if_left(temporary: Path) -> None:
    """Remove a hidden file unless a living process holds it, or nobody can tell."""
    with suppress(OSError):
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def _uploaded_file(url: str) -> Iterator[BinaryIO]:
    """Open a file that lies here, and put it into its store if the block ends without error.

    The store shows an object when all of it has come, and until then the one that it had.

    Raises:
        StorageError: It cannot be put there.
    """
    store, key = store_of(url)
    with tempfile.TemporaryDirectory(prefix="aster-upload-") as folder:
        whole = Path(folder, "whole")
        with whole.open("xb") as file:
            yield file
        with _storage_errors(url):
            copy_files(str(whole), key, LocalFileSystem(), store, use_threads=False)


def _put_in_place(file: BinaryIO, temporary: Path, target: Path) -> None:
    """Close a complete file and give it its name, so that both outlive a power cut."""
    file.flush()
    if temporary == target:
        file.close()
        return
    os.fsync(file.fileno())
    if target.exists():
        shutil.copymode(target, temporary)
    temporary.replace(target)
    file.close()  # and so unlocked; before, another process would take it for one that was left
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Encoder(ABC):
    """Turns frames into the bytes of one format; ends the file on a clean exit."""

    raw_csv = False
    shown = False  # on a terminal: control characters are spelled out

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @abstractmethod
    def write(self, frame: pl.DataFrame) -> None:
        """Append rows."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still held back, and the end of the file."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of a file that will not be kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abandon()
            return
        self.finish()
        self._file.flush()


class _TextEncoder(_Encoder):
    """Formats without an end; nothing is held back."""

    def _write(self, text: str) -> None:
        self._file.write((plain_lines(text) if self.shown else text).encode())

    def finish(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


class _CsvEncoder(_TextEncoder):
    """CSV with a header, times as ISO text, nested cells as JSON text."""

    _header = True

    def write(self, frame: pl.DataFrame) -> None:
        safe = frame if self.raw_csv else disarm(frame)
        text = safe.select(_flat(column) for column in safe)
        self._write(text.write_csv(include_header=self._header))
        self._header = False


class _NdjsonEncoder(_TextEncoder):
    """One JSON object a line."""

    def write(self, frame: pl.DataFrame) -> None:
        self._write(frame.write_ndjson())


class _ColumnarEncoder(_Encoder):
    """Formats that store rows in groups; small frames are gathered into large groups."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._pending: list[pl.DataFrame] = []
        self._sink: pyarrow.parquet.ParquetWriter | pyarrow.ipc.RecordBatchFileWriter | None = None

    @abstractmethod
    def _open(
        self, schema: pa.Schema
    ) -> pyarrow.parquet.ParquetWriter | pyarrow.ipc.RecordBatchFileWriter:
        """Begin the file."""

    def write(self, frame: pl.DataFrame) -> None:
        self._pending.append(frame)
        if sum(frame.height for frame in self._pending) >= GROUP_ROWS:
            self._write_pending()

    def finish(self) -> None:
        if self._pending:
            self._write_pending()
        if self._sink is not None:
            self._sink.close()

    def abandon(self) -> None:
        if self._sink is not None:
            with suppress(OSError):
                self._sink.close()

    def _write_pending(self) -> None:
        frame = pl.concat(self._pending, rechunk=True)
        self._pending.clear()
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._sink is None:
            self._sink = self._open(table.schema)
        self._sink.write_table(table)


class _ParquetEncoder(_ColumnarEncoder):
    def _open(self, schema: pa.Schema) -> pyarrow.parquet.ParquetWriter:
        return pyarrow.parquet.ParquetWriter(self._file, schema, compression="zstd")


class _ArrowEncoder(_ColumnarEncoder):
    def _open(self, schema: pa.Schema) -> pyarrow.ipc.RecordBatchFileWriter:
        return pyarrow.ipc.new_file(self._file, schema)


_ENCODERS: dict[LogFormat, type[_Encoder]] = {
    "csv": _CsvEncoder,
    "parquet": _ParquetEncoder,
    "ndjson": _NdjsonEncoder,
    "arrow": _ArrowEncoder,
}


def _flat(column: pl.Series) -> pl.Series:
    """Turn times and lists of structs into text; null stays null."""
    if isinstance(column.dtype, pl.Datetime):
        offset = "%:z" if column.dtype.time_zone is not None else ""
        return column.dt.to_string(f"%Y-%m-%d %H:%M:%S%.f{offset}")
    if column.dtype == pl.List(pl.Struct):
        objects = column.list.eval(pl.element().struct.json_encode()).list.join(",")
        return ("[" + objects + "]").alias(column.name)
    return column


def _suffix(target: str) -> str:
    return Path(target).suffix.lower()


@contextmanager
def _storage_errors(target: str) -> Iterator[None]:
    """Say in one line why a target cannot be written; a closed pipe is the caller's affair."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"cannot be written ({reason_of(error)})", where=repr(target)) from error
