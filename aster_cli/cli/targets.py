"""Where results go."""

import tempfile
from pathlib import Path

from aster_cli.config import LogFormat
from aster_cli.errors import StorageError, UsageError
from aster_cli.logs import Log
from aster_cli.logs.writers import SUFFIXES


def require_agreeing(target: str, output_format: LogFormat | None) -> None:
    """Refuse to write one format under the suffix of another."""
    told = None if target == "-" else SUFFIXES.get(Path(target).suffix.lower())
    if output_format and told and told != output_format:
        raise UsageError(
            f"{output_format} does not go into a file named {Path(target).suffix}",
            where="--output-format",
            hint="leave it out, or give -o another suffix",
        )


def require_other(target: str | None, log: Log, option: str) -> None:
    """Refuse to put what is made of a log in its own place."""
    if target is not None and any(source.is_at(target) for source in log.sources):
        raise UsageError(
            "is the log itself", where=repr(target), hint=f"name another file with {option}"
        )


def require_page(target: Path | None) -> None:
    """Refuse to write a page into a file of another kind, or where nothing can be written."""
    _require_place(target, "a page", (".html", ".htm"))


def require_metrics(target: Path | None) -> None:
    """Refuse a place for metrics where nobody would look for them, or nothing can be written."""
    _require_place(target, "metrics", (".prom",))


def require_explanation(target: Path | None, output: str | None) -> None:
    """Refuse a place for an explanation of no known format, or that of the scores."""
    _require_place(target, "an explanation", (".parquet", *SUFFIXES))
    if target is not None and output is not None and Path(output).resolve() == target.resolve():
        raise UsageError(
            "is where the scores go", where=repr(str(target)), hint="name another file"
        )


def _require_place(target: Path | None, what: str, suffixes: tuple[str, ...]) -> None:
    """Before any work is done: what is committed first must not be lost for want of this."""
    if target is None:
        return
    if target.suffix.lower() not in suffixes:
        raise UsageError(
            f"is no name for {what}", where=repr(str(target)), hint=f"end it in {suffixes[0]}"
        )
    if target.is_dir():
        raise UsageError("is a directory", where=repr(str(target)), hint="name a file")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise StorageError(
            "there is no such directory", where=str(target.parent), hint="make it first"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", where=str(folder)) from error
