"""What the commands say besides their result: notes on stderr, JSON on stdout."""

import json
import re
import sys
from collections.abc import Iterable
from datetime import date
from time import monotonic
from typing import Any

from aster_cli.cli.records import Level, write_record
from aster_cli.config import StderrFormat
from aster_cli.plain import plain
from aster_cli.render.console import stderr_console

_DECIMALS = 4  # of a severity
_TIMES = ("start", "end", "peak_time")
_SPACED = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\S*)( UTC)?$")


class Journal:
    """What a run says on stderr beside its errors: for people, or one JSON object a line.

    Made when the run begins: it tells how long one took.

    Args:
        log_format: Which of the two.
        no_color: No colours, also on a terminal.
        quiet: Say nothing but errors.
        json: The result goes out as JSON, so people are told nothing beside it.
    """

    def __init__(
        self, log_format: StderrFormat, *, no_color: bool, quiet: bool, json: bool
    ) -> None:
        self._as_records = log_format == "json"
        self._quiet = quiet
        self._begun = monotonic()
        silent = quiet or json or self._as_records
        self.console = stderr_console(no_color=no_color, quiet=silent)

    def notes(self, notes: Iterable[str], level: Level = "info") -> None:
        """Say what the user should know; only records show the level."""
        if not self._as_records:
            for note in notes:
                line = f"note: {plain(note)}"
                wraps = self.console.is_terminal  # elsewhere a note is one line
                self.console.print(line, style="dim", highlight=False, soft_wrap=not wraps)
            return
        for note in notes:
            self.record("note", level, message=plain(note))

    def record(self, event: str, level: Level = "info", **fields: Any) -> None:
        """Write a record, if records are wanted."""
        if self._as_records and not self._quiet:
            write_record(event, level, **fields)

    def summary(self, command: str, **fields: Any) -> None:
        """Sum up a run that did its work, if records are wanted.

        Args:
            command: What was run.
            fields: What it came to.
        """
        duration = round(monotonic() - self._begun, 3)
        self.record("summary", command=command, **fields, duration_s=duration, exit_code=0)


def show_json(value: dict[str, Any], *, to_stderr: bool = False) -> None:
    """Write one JSON object on one line, in ASCII: a log's control characters are spelled out.

    Times are in ISO 8601, as in scores files. A severity is rounded to what these hold of it, in single
    precision.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(json.dumps(_alike(value), default=str) + "\n")


def _alike(value: Any, name: str = "") -> Any:
    """The same, times and severities written alike whatever they were found in."""
    if isinstance(value, dict):
        return {key: _alike(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_alike(item, name) for item in value]
    if name == "severity" and isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, date):
        return value.isoformat()
    if name in _TIMES and isinstance(value, str):
        return _SPACED.sub(_iso, value)
    return value


def _iso(spaced: re.Match[str]) -> str:
    """A date, a time and perhaps a zone, as they are written for people."""
    return f"{spaced[1]}T{spaced[2]}{'+00:00' if spaced[3] else ''}"
