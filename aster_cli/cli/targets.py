"""Where results go."""

from pathlib import Path

from aster_cli.config import LogFormat
from aster_cli.errors import StorageError, UsageError
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


def require_page(target: Path | None) -> None:
    """Refuse to write a page into a file of another kind, or where nothing can be written."""
    if target is None:
        return
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError("is no name for a page", where=repr(str(target)), hint="end it in .html")
    if not target.absolute().parent.is_dir():
        raise StorageError(
            "there is no such directory", where=str(target.parent), hint="make it first"
        )
