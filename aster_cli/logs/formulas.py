"""Text that a spreadsheet would take for a formula, made harmless in CSV and read back.

A spreadsheet that opens a CSV file calculates whatever starts with an equals sign and the like, and a
formula can send data away or start a program. An apostrophe before it makes it text. Text is also
looked through after semicolons, tabs and line ends: where a spreadsheet cuts cells there, a formula
could start in the middle of ours.
"""

import re
from collections.abc import Callable

import polars as pl

_START = "[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"  # the last four: the same, full width
_CELL = "(?:^|(?<=[;\t\r\n]))"
_FORMULA = re.compile(f"{_CELL}(?='*{_START})")
_DISARMED = re.compile(f"{_CELL}'(?='*{_START})")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def disarmed(text: str) -> str:
    """Put an apostrophe before whatever could be a formula; a number is none."""
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


def rearmed(text: str) -> str:
    """What `disarmed` was given."""
    return _DISARMED.sub("", text)


def disarm(frame: pl.DataFrame) -> pl.DataFrame:
    """Disarm a frame's text: its cells, the sensors in lists like ``top_sensors``, its header."""
    return _changed(frame, disarmed)


def rearm(frame: pl.DataFrame) -> pl.DataFrame:
    """What `disarm` was given."""
    return _changed(frame, rearmed)


def _changed(frame: pl.DataFrame, change: Callable[[str], str]) -> pl.DataFrame:
    return frame.select(_column(column, change).alias(change(column.name)) for column in frame)


def _column(column: pl.Series, change: Callable[[str], str]) -> pl.Series:
    if column.dtype == pl.String:
        return column.replace(_changes(column, change))
    if column.dtype == pl.List(pl.Struct):
        changes = _changes(column.explode().struct.field("sensor"), change)
        sensor = pl.field("sensor").replace(changes)
        return column.list.eval(pl.element().struct.with_fields(sensor)) if changes else column
    return column


def _changes(texts: pl.Series, change: Callable[[str], str]) -> dict[str, str]:
    changed = {text: change(text) for text in texts.drop_nulls().unique()}
    return {text: other for text, other in changed.items() if other != text}
