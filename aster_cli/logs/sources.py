"""Where a log's bytes come from: files, globs, directories, object stores and standard input."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path, PurePath
from typing import BinaryIO, Literal
from urllib.parse import unquote

import pyarrow as pa
from pyarrow.fs import FileSystem, LocalFileSystem

from aster_cli.config import LogFormat
from aster_cli.errors import LogFormatError, StorageError, UsageError
from aster_cli.logs.stores import files_at, is_url, storage_errors, store_of

Compression = Literal["gzip", "zstd"]

SUFFIXES: dict[str, LogFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
COMPRESSION_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STDIN = "-"
PRODUCTS = (".aster", ".partial")  # model directories hold Parquet files that are no logs


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a log.

    Attributes:
        path: The file to read; in an object store its bucket and key.
        format: What it holds.
        compression: How CSV or NDJSON is packed.
        hive: The ``key=value`` folders on the way to the file.
        display_name: How messages call the file.
        temporary: Whether the file is a copy of a stream, to be removed after use.
        store: What holds the file.
    """

    path: Path
    format: LogFormat
    compression: Compression | None = None
    hive: dict[str, str] = field(default_factory=dict)
    display_name: str = ""
    temporary: bool = False
    store: FileSystem = field(default_factory=LocalFileSystem)

    @property
    def is_local(self) -> bool:
        """Whether the file lies in this machine's file system."""
        return isinstance(self.store, LocalFileSystem)

    def is_at(self, target: str) -> bool:
        """Whether a path or a URL, which need not exist, leads to the file."""
        if is_url(target) or not self.is_local:
            return target == self.address
        return Path(target).exists() and self.path.samefile(target)

    @property
    def address(self) -> str:
        """The path or the URL that names the file."""
        return str(self.path) if self.is_local else self.display_name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self.store.get_file_info(str(self.path)).size or 0)

    def open(self) -> pa.NativeFile:
        """Open the file to read from any place of it."""
        return self.store.open_input_file(str(self.path))

    def unpacked(self) -> pa.NativeFile:
        """Open the file to read from its start, unpacked."""
        return self.store.open_input_stream(str(self.path), compression=self.compression)

    @property
    def stem(self) -> str:
        """The file's name without the suffixes that say how it is stored."""
        if self.temporary:
            return self.display_name
        stem = self.path.name
        for known in (COMPRESSIONS, SUFFIXES):
            if Path(stem).suffix.lower() in known:
                stem = Path(stem).stem
        return stem


def find_sources(paths: Sequence[str], *, input_format: LogFormat | None = None) -> list[Source]:
    """Find the files that `paths` stand for, each once, in the order given (folders by name).

    Args:
        paths: Files, globs, directories, URLs of an object store, or ``-`` for standard input.
        input_format: What the files and standard input hold, where their suffix or content would
            say otherwise. In a directory, suffixes still tell which files are logs.

    Raises:
        StorageError: A path leads to no log, or cannot be read.
        LogFormatError: A file's suffix is not known, and no format was given.
        UsageError: No path at all, or ``-`` more than once.
    """
    if not paths:
        raise UsageError("no log given", hint="name a file, a glob, a directory, a URL, or -")
    if paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once", where=STDIN)
    sources: list[Source] = []
    try:
        for file in dict.fromkeys(file for path in paths for file in _expand(path)):
            source = _source(file, input_format)
            sources.append(source)
    except BaseException:
        remove_temporary(sources)
        raise
    return sources


def remove_temporary(sources: Iterable[Source]) -> None:
    """Remove the copies of standard input and pipes among `sources`."""
    for source in sources:
        if source.temporary:
            source.path.unlink(missing_ok=True)


def _expand(path: str) -> Iterator[str]:
    """Yield the files that one path stands for."""
    if is_url(path):
        yield from _expand_url(path.rstrip("/"))
    else:
        yield from map(str, _expand_path(path))


def _expand_url(url: str) -> Iterator[str]:
    files, are_below = files_at(url)
    if are_below:
        files = [one for one in files if _is_log_below(PurePath(one.removeprefix(f"{url}/")))]
        if not files:
            raise StorageError("holds no logs", where=repr(url), hint=_known_suffixes())
    yield from files


def _expand_path(path: str) -> Iterator[Path]:
    place = Path(path)
    if path == STDIN:
        yield place
    elif place.is_dir():
        files = sorted(_logs_below(place))
        if not files:
            raise StorageError("holds no logs", where=repr(path), hint=_known_suffixes())
        yield from files
    elif place.exists():
        yield place
    elif has_magic(path):
        matches = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        files = sorted(file for file in matches if file.is_file() and file.name[0] != ".")
        if not files:
            raise StorageError("matches no file", where=repr(path))
        yield from files
    else:
        raise StorageError("no such file or directory", where=repr(path))


def _logs_below(directory: Path) -> Iterator[Path]:
    """Yield the files with a known suffix; hidden ones and model directories are passed over.

    So are pipes and devices: whoever means one names it.
    """
    for folder, subfolders, names in os.walk(directory, onerror=_refuse_folder):
        subfolders[:] = filter(_may_hold_logs, subfolders)
        for name in names:
            file = Path(folder, name)
            if _is_log(file) and file.is_file():
                yield file


def _is_log_below(path: PurePath) -> bool:
    """Whether a directory is read down to a file: see `_logs_below`."""
    return all(map(_may_hold_logs, path.parts[:-1])) and _is_log(path)


def _may_hold_logs(folder: str) -> bool:
    return folder[0] not in "._" and not folder.endswith(PRODUCTS)


def _is_log(file: PurePath) -> bool:
    return file.name[0] not in "._" and _format_of(file) is not None


def _refuse_folder(error: OSError) -> None:
    raise StorageError(f"cannot be read ({error.strerror})", where=repr(error.filename)) from error


def _source(name: str, input_format: LogFormat | None) -> Source:
    store, place = store_of(name) if is_url(name) else (LocalFileSystem(), name)
    path = Path(place)
    with storage_errors(name):
        if name == STDIN:
            return _spool(sys.stdin.buffer, input_format, "stdin")
        if not is_url(name) and not path.is_file():  # a pipe, such as the shell's <(command)
            with path.open("rb") as pipe:
                return _spool(pipe, input_format, name)
        store.open_input_file(place).close()
    format_ = input_format or _format_of(path)
    if format_ is None:
        raise LogFormatError(
            "is not known as a log by its suffix",
            where=repr(name),
            hint=_known_suffixes(),
        )
    folders = (part.split("=", 1) for part in path.parts[:-1] if "=" in part[1:])
    return Source(
        path=path,
        format=format_,
        compression=COMPRESSIONS.get(path.suffix.lower()),
        hive={key: unquote(value) for key, value in folders},
        display_name=name if name.isprintable() else repr(name),
        store=store,
    )


def _format_of(path: PurePath) -> LogFormat | None:
    """Read the format from a file's suffixes; only text formats come compressed."""
    suffix = path.suffix.lower()
    if suffix not in COMPRESSIONS:
        return SUFFIXES.get(suffix)
    inner = SUFFIXES.get(PurePath(path.stem).suffix.lower())
    return inner if inner in ("csv", "ndjson") else None


def _known_suffixes() -> str:
    known = f"{' '.join(SUFFIXES)}, text also with {' '.join(COMPRESSIONS)}"
    return f"known suffixes: {known}"


def _spool(stream: BinaryIO, input_format: LogFormat | None, name: str) -> Source:
    """Copy a stream into a file that only this user can read, for logs are read more than once."""
    descriptor, copy = tempfile.mkstemp(prefix="aster-stream-")
    path = Path(copy)
    try:
        with os.fdopen(descriptor, "wb") as spool:
            shutil.copyfileobj(stream, spool)
        compression, format_ = _sniff(path)
    except BaseException:
        path.unlink()
        raise
    return Source(path, input_format or format_, compression, {}, name, temporary=True)


def _sniff(path: Path) -> tuple[Compression | None, LogFormat]:
    """Tell compression and format from a file's first bytes."""
    with path.open("rb") as file:
        start = file.read(64)
    compression = next(
        (name for magic, name in COMPRESSION_MAGIC.items() if start.startswith(magic)), None
    )
    if compression is not None:
        with suppress(OSError), pa.input_stream(path, compression=compression) as unpacked:
            start = unpacked.read(64)
    if start.startswith(b"PAR1"):
        return compression, "parquet"
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return compression, "arrow"
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    return compression, "ndjson" if text.startswith(b"{") else "csv"
