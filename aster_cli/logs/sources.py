"""Where a log's bytes come from: files, globs, directories and standard input, as plain sources."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote

import pyarrow as pa

from aster_cli.config import LogFormat
from aster_cli.errors import LogFormatError, StorageError, UsageError

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
        path: The file to read.
        format: What it holds.
        compression: How CSV or NDJSON is packed.
        hive: The ``key=value`` folders on the way to the file.
        display_name: How messages call the file.
        temporary: Whether the file is a copy of a stream, to be removed after use.
    """

    path: Path
    format: LogFormat
    compression: Compression | None = None
    hive: dict[str, str] = field(default_factory=dict)
    display_name: str = ""
    temporary: bool = False

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
        paths: Files, globs, directories, or ``-`` for standard input.
        input_format: What the files and standard input hold, where their suffix or content would
            say otherwise. In a directory, suffixes still tell which files are logs.

    Raises:
        StorageError: A path leads to no log, or cannot be read.
        LogFormatError: A file's suffix is not known, and no format was given.
        UsageError: No path at all, or ``-`` more than once.
    """
    if not paths:
        raise UsageError("no log given", hint="name a file, a glob, a directory, or -")
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


def _expand(path: str) -> Iterator[Path]:
    """Yield the files that one path stands for."""
    place = Path(path)
    if path == STDIN:
        yield place
    elif place.is_dir():
        files = sorted(_logs_below(place))
        if not files:
            raise StorageError(
                "holds no logs", where=repr(path), hint=f"known suffixes: {_known_suffixes()}"
            )
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
        subfolders[:] = [
            name for name in subfolders if name[0] not in "._" and not name.endswith(PRODUCTS)
        ]
        for name in names:
            file = Path(folder, name)
            if name[0] not in "._" and _format_of(file) is not None and file.is_file():
                yield file


def _refuse_folder(error: OSError) -> None:
    raise StorageError(f"cannot be read ({error.strerror})", where=repr(error.filename)) from error


def _source(path: Path, input_format: LogFormat | None) -> Source:
    name = str(path)
    try:
        if name == STDIN:
            return _spool(sys.stdin.buffer, input_format, "stdin")
        if not path.is_file():  # a pipe, such as the shell's <(command)
            with path.open("rb") as pipe:
                return _spool(pipe, input_format, name)
        path.open("rb").close()
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", where=repr(name)) from error
    format_ = input_format or _format_of(path)
    if format_ is None:
        raise LogFormatError(
            "is not known as a log by its suffix",
            where=repr(name),
            hint=f"known suffixes: {_known_suffixes()}",
        )
    folders = (part.split("=", 1) for part in path.parts[:-1] if "=" in part[1:])
    return Source(
        path=path,
        format=format_,
        compression=COMPRESSIONS.get(path.suffix.lower()),
        hive={key: unquote(value) for key, value in folders},
        display_name=name if name.isprintable() else repr(name),
    )


def _format_of(path: Path) -> LogFormat | None:
    """Read the format from a file's suffixes; only text formats come compressed."""
    suffix = path.suffix.lower()
    if suffix not in COMPRESSIONS:
        return SUFFIXES.get(suffix)
    inner = SUFFIXES.get(Path(path.stem).suffix.lower())
    return inner if inner in ("csv", "ndjson") else None


def _known_suffixes() -> str:
    return f"{' '.join(SUFFIXES)}, text also with {' '.join(COMPRESSIONS)}"


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
