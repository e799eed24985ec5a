"""Where results go."""

from pathlib import Path

from aster_cli.config import LogFormat
from aster_cli.errors import UsageError
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
