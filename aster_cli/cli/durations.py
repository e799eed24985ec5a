"""Lengths of time as people write them."""

import re

from aster_cli.errors import UsageError

SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def parse_period(text: str | None, flag: str = "--freq") -> float | None:
    """Seconds of ``10s``, ``5min`` or ``1.5h``; a bare number is seconds, or counter units.

    Raises:
        UsageError: The text is no period.
    """
    return None if text is None else _parse(text, flag, "period")[0]


def parse_length(text: str | None, flag: str, *, seconds_per_unit: float | None) -> float | None:
    """A length in units of a log's clock, written as `parse_period` takes it; ``0`` is none.

    Args:
        text: What the user wrote.
        flag: Where.
        seconds_per_unit: Of the clock; None where it counts and has no seconds.

    Raises:
        UsageError: The text is no length, or has a unit where the clock has none.
    """
    if text is None:
        return None
    value, has_unit = _parse(text, flag, "length of time")
    if seconds_per_unit is not None:
        return value * round(1.0 / seconds_per_unit)
    if has_unit:
        raise UsageError(
            f"{text!r} is a time, and the log has none: it counts",
            where=flag,
            hint="give a number of counts",
        )
    return value


def _parse(text: str, flag: str, what: str) -> tuple[float, bool]:
    """The number in seconds, or as it stands without a unit, and whether it has one."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in {"", *SECONDS}:
        raise UsageError(
            f"{text!r} is no {what}", where=flag, hint="give a number and ms, s, min, h or d"
        )
    return float(match[1]) * SECONDS.get(match[2], 1.0), bool(match[2])
